"""The faster split is that of scikit-learn, to the last patient."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from featurestore.cohort.splitting import GroupedFolds


@given(
    n=st.integers(20, 120),
    folds=st.integers(2, 6),
    classes=st.integers(2, 4),
    largest=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_folds_are_those_of_scikit_learn(
    n: int, folds: int, classes: int, largest: int, seed: int
) -> None:
    """Whatever the sizes of groups, the rarity of classes and the seed."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, max(n // largest, folds), n)
    y = np.minimum(rng.geometric(0.6, n) - 1, classes - 1).astype(float)
    y[: 2 * folds] = np.arange(2 * folds) % 2
    groups[: 2 * folds] = np.arange(2 * folds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class rarer than the folds
        expected, found = (
            [test.tolist() for _, test in splitter(folds, shuffle=True, random_state=seed).split(
                np.zeros(n), y, groups
            )]
            for splitter in (StratifiedGroupKFold, GroupedFolds)
        )  # fmt: skip
    assert found == expected
