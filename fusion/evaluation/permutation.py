"""Outcomes exchanged between patients: the floor that every leak past the labels would lift.

Training and test patients are exchanged alike (Ojala & Garriga 2010, test 1), and only between
patients of one test fold, so folds keep their prevalence. Permuting inside the training part alone
would not do: a few random models, scored against true outcomes with a strong signal, scatter far
more than the interval says.

Every outer fold has an exchange of its own. With one for all of them, each pair of patients of two
folds would count twice, once with either of them in training, with the same two outcomes; under
the null hypothesis that alone raises the variance of the pooled AUROC up to twofold above what any
bootstrap of the patients sees (Bengio & Grandvalet 2004), and the floor's interval would miss 0.5
in 10 to 17 % of studies instead of 5 %.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from featurestore.cohort import FoldKey, Folds
from fusion.features import FeatureTable

UNTESTED = -1


def draw_partners(folds: Folds, key: FoldKey, seed: int) -> dict[str, str]:
    """Draws for every patient the one whose outcome it gets in the fit of one outer fold.

    Args:
        folds: Outer folds (`featurestore.cohort.folds`).
        key: Outer fold that is fitted and tested.
        seed: Seed of the run.

    Returns:
        A permutation of the patients that maps every test fold onto itself, and those whom no
        fold tests among themselves.
    """
    repeat, fold = key
    ids = np.unique([*folds.training(key), *folds.test(key)])
    stratum = folds.tested(repeat).reindex(ids, fill_value=UNTESTED).to_numpy(dtype=int)
    partners: dict[str, str] = {}
    for part in np.unique(stratum):
        members = ids[stratum == part]
        rng = np.random.default_rng([seed, repeat, fold, int(part) - UNTESTED])
        partners |= dict(zip(members.tolist(), rng.permutation(members).tolist(), strict=True))
    return partners


def with_partners_outcomes(table: FeatureTable, partners: Mapping[str, str]) -> FeatureTable:
    """Returns the table with each patient's outcome replaced by its partner's."""
    row = {patient: k for k, patient in enumerate(table.patient_ids)}
    of_partner = np.array([row[partners[patient]] for patient in table.patient_ids], dtype=int)
    return dataclasses.replace(table, target=table.target.take(of_partner))
