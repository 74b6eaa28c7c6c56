"""Pairs by outcome: never by position, the same for every order of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.cohort.pairing import PAIRING_COLUMNS, Rule, pair
from featurestore.errors import DataError


def people(prefix: str, outcomes: list[int]) -> pd.DataFrame:
    ids = [f"{prefix}{k:03d}" for k in range(len(outcomes))]
    return pd.DataFrame(
        {"patient_id": pd.Series(ids, dtype="str"), "outcome": np.array(outcomes, dtype=float)}
    )


BOTH = st.lists(st.integers(0, 1), min_size=2, max_size=30).filter(lambda v: len(set(v)) == 2)


@given(BOTH, BOTH, st.booleans(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_pairs_have_one_outcome_and_no_order(
    own: list[int], lent: list[int], replacement: bool, seed: int, random: object
) -> None:
    patients, donors = people("P", own), people("D", lent)
    pairs = pair(patients, donors, "same outcome", replacement, seed)
    assert tuple(pairs.columns) == PAIRING_COLUMNS
    outcome = dict(zip(donors["patient_id"], donors["outcome"], strict=True))
    assert [outcome[d] for d in pairs["donor_id"]] == pairs["outcome"].tolist()
    assert pairs["patient_id"].is_unique
    assert pairs["patient_id"].is_monotonic_increasing
    if replacement:
        assert len(pairs) == len(patients)
    else:
        assert pairs["donor_id"].is_unique
        events = min(sum(own), sum(lent))
        others = min(len(own) - sum(own), len(lent) - sum(lent))
        assert (pairs["outcome"].sum(), len(pairs)) == (events, events + others)
    shuffled = pair(
        patients.sample(frac=1, random_state=1), donors.sample(frac=1, random_state=2),
        "same outcome", replacement, seed,
    )  # fmt: skip
    pd.testing.assert_frame_equal(shuffled, pairs)


def test_pairs_at_random_do_not_follow_the_outcome() -> None:
    patients, donors = people("P", [0, 1] * 500), people("D", [0, 1] * 100)
    pairs = pair(patients, donors, "at random", True, 0)
    outcome = dict(zip(donors["patient_id"], donors["outcome"], strict=True))
    agree = np.mean(
        [outcome[d] == y for d, y in zip(pairs["donor_id"], pairs["outcome"], strict=True)]
    )
    assert 0.42 < agree < 0.58


def test_another_seed_makes_other_pairs() -> None:
    patients, donors = people("P", [0, 1] * 20), people("D", [0, 1] * 20)
    first, second = (pair(patients, donors, "same outcome", True, s) for s in (0, 1))
    assert first["donor_id"].tolist() != second["donor_id"].tolist()


@pytest.mark.parametrize("rule", ["same outcome", "at random"])
def test_donors_without_an_outcome_are_named(rule: Rule) -> None:
    patients, donors = people("P", [0, 1]), people("D", [0, 0])
    if rule == "at random":
        assert len(pair(patients, donors, rule, True, 0)) == 2
    else:
        with pytest.raises(DataError, match="no donor with the outcome for 1 patients"):
            pair(patients, donors, rule, True, 0)
