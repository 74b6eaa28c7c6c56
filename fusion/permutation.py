"""Outcomes exchanged between patients: the floor that every leak past the labels would lift.

The exchange happens before folds are cut, and only between patients of one test fold, so each
patient has the same exchanged outcome in training and test, folds keep their prevalence, and the
AUROC is distributed as under the null hypothesis (Ojala & Garriga 2010, test 1). Permuting inside
the training part alone would not do: a few random models, scored against true outcomes with a
strong signal, scatter far more than the interval says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fusion.features import FeatureTable

UNTESTED = -1


def draw_partners(folds: pd.DataFrame, repeat: int, seed: int) -> dict[str, str]:
    """Draws for every patient the one whose outcome it gets.

    Args:
        folds: Outer folds (`featurestore.folds`).
        repeat: Repeat of the folds.
        seed: Seed of the run.

    Returns:
        A permutation of the patients that maps every test fold onto itself, and those whom no
        fold tests among themselves.
    """
    rows = folds[folds["repeat"] == repeat]
    tested = rows[rows["role"] == "test"].set_index("patient_id")["fold"]
    ids = np.unique(rows["patient_id"].to_numpy(dtype=str))
    stratum = tested.reindex(ids, fill_value=UNTESTED).to_numpy(dtype=int)
    partners: dict[str, str] = {}
    for fold in np.unique(stratum):
        members = ids[stratum == fold]
        rng = np.random.default_rng([seed, repeat, int(fold) - UNTESTED])
        partners |= dict(zip(members.tolist(), rng.permutation(members).tolist(), strict=True))
    return partners


def with_partners_outcomes(table: FeatureTable, partners: Mapping[str, str]) -> FeatureTable:
    """Returns the table with each patient's outcome replaced by its partner's."""
    outcome = dict(zip(table.patient_ids, table.y, strict=True))
    exchanged = [outcome[partners[patient]] for patient in table.patient_ids]
    return dataclasses.replace(table, y=np.array(exchanged, dtype=float))
