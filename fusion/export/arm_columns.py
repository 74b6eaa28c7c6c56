"""Out-of-fold predictions as columns of table analysis, with names that a person can read."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from featurestore.cohort import Folds
from featurestore.export import ColumnNote
from featurestore.export.names import MAX_NAME

SHORT = {
    "logistic_regression": "lr",
    "lightgbm": "lgbm",
    "random_forest": "rf",
    "fusion_head": "head",
    "rank_average": "rank",
    "clinical_reference": "clinical_ref",
    "permuted_labels": "permuted",
}
"""Models that have a short name; others are called as they are registered."""

SCORE = "lp_"
_ROOM = MAX_NAME - len(SCORE) - len("_r99")
_DIGEST = 6


def arm_names(arms: Iterable[str]) -> dict[str, str]:
    """A name for each arm that follows the rule for exported names behind `lp_` or `p_`.

    `logistic_regression[all]` is `lr_all`. A name that is too long, or that two arms would share,
    ends in six digits of the SHA-256 of the arm, the same in all columns of the arm.
    """
    listed = sorted(set(arms))
    plain = {arm: _plain(arm) for arm in listed}
    shared = Counter(plain.values())
    return {
        arm: name if len(name) <= _ROOM and shared[name] == 1 else _suffixed(name, arm)
        for arm, name in plain.items()
    }


def column_suffix(folds: Folds, repeat: int) -> str:
    """Ending of columns of one repeat; nothing where there is one repeat."""
    return f"_r{repeat}" if len(folds.repeats) > 1 else ""


def prediction_columns(
    predictions: pd.DataFrame, folds: Folds, exported: Mapping[str, tuple[str, str]]
) -> tuple[pd.DataFrame, dict[str, ColumnNote]]:
    """What is exported of every arm and repeat, by patient, and notes on it.

    Args:
        predictions: The predictions table.
        folds: The frozen folds.
        exported: Per column of predictions its prefix and words (`Endpoint.exported`).
    """
    columns, notes = {}, {}
    names = arm_names(predictions["arm"])
    keys = predictions[["arm", "repeat"]].drop_duplicates()
    for arm, repeat in sorted(keys.itertuples(index=False, name=None)):
        rows = predictions[(predictions["arm"] == arm) & (predictions["repeat"] == repeat)]
        by_id = rows.set_index("patient_id")
        for column, (prefix, words) in exported.items():
            name = f"{prefix}_{names[arm]}{column_suffix(folds, int(repeat))}"
            columns[name] = by_id[column]
            note = f"out-of-fold, mean over the {{patient}}'s images; arm {arm}, repeat {repeat}"
            notes[name] = ColumnNote(f"{words}, {arm}", note=note)
    return pd.DataFrame(columns), notes


def _plain(arm: str) -> str:
    model, _, rest = arm.partition("[")
    words = f"{SHORT.get(model, model)} {rest}"
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _suffixed(name: str, arm: str) -> str:
    digest = hashlib.sha256(arm.encode()).hexdigest()[:_DIGEST]
    room = _ROOM - _DIGEST - 1
    cut = name[:room]
    if len(name) > room and name[room] != "_" and "_" in cut:
        cut = cut.rpartition("_")[0]  # no half words
    return f"{cut.rstrip('_')}_{digest}"
