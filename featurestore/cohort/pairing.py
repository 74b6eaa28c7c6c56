"""Pairs image patients with donors of a clinical row, by outcome or at random; never by position.

The pairs say nothing about any person: no patient is in both sources. They exist because studies
are published that make them, and so that what they do to a result can be measured.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from featurestore.errors import DataError

PAIRING_COLUMNS = ("patient_id", "donor_id", "outcome")
Rule = Literal["same outcome", "at random"]


def pair(
    patients: pd.DataFrame, donors: pd.DataFrame, rule: Rule, replacement: bool, seed: int
) -> pd.DataFrame:
    """Lends each patient the row of a donor.

    Args:
        patients: `patient_id, outcome` of those who have images; the order means nothing.
        donors: `patient_id, outcome` of those who have clinical rows.
        rule: Whether a donor must have the patient's outcome.
        replacement: Whether a donor may lend its row more than once.
        seed: Seed of the draw.

    Returns:
        `PAIRING_COLUMNS`, one row a patient who got a donor, sorted by patient; `outcome` is the
        patient's. Without replacement some patients may get none.

    Raises:
        DataError: There is no donor with, or none without, the outcome.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
    own = patients.sort_values("patient_id", ignore_index=True)
    lent = donors.sort_values("patient_id", ignore_index=True)
    parts = []
    for label in (0.0, 1.0) if rule == "same outcome" else (None,):
        takers = own if label is None else own[own["outcome"] == label]
        givers = lent if label is None else lent[lent["outcome"] == label]
        if len(takers) and givers.empty:
            word = "with" if label else "without"
            raise DataError(f"there is no donor {word} the outcome for {len(takers)} patients")
        if replacement:
            chosen: np.ndarray = rng.integers(max(len(givers), 1), size=len(takers))
            shuffled = takers
        else:
            count = min(len(takers), len(givers))
            chosen = rng.permutation(len(givers))[:count]
            shuffled = takers.iloc[rng.permutation(len(takers))[:count]]
        parts.append(shuffled.assign(donor_id=givers["patient_id"].to_numpy()[chosen]))
    pairs = pd.concat(parts)[list(PAIRING_COLUMNS)].sort_values("patient_id", ignore_index=True)
    return pairs.astype({"patient_id": "str", "donor_id": "str"})
