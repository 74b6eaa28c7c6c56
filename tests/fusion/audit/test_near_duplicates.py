"""Near copies of patients stand out of the closeness of strangers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from audit_example import make_subject, run_one, shuffled
from leak_example import patients_again, wide_cohort

from featurestore.cohort.folds import Folds
from fusion.audit.near_duplicates import closeness, find_twins


@pytest.mark.parametrize("seed", range(4))
def test_strangers_are_not_twins(seed: int) -> None:
    assert run_one("near_duplicates", make_subject(wide_cohort(300, seed))).status == "clear"


def test_columns_that_follow_from_one_another_make_no_twins() -> None:
    """Ten columns that are one: close in one is close in all, for strangers too."""
    rng = np.random.default_rng(0)
    one = rng.random((400, 1))
    places = np.hstack([one + 1e-4 * rng.random((400, 10)), rng.random((400, 3))])
    assert find_twins(places, np.arange(400)).pairs == ()


def test_rows_of_one_group_are_no_twins() -> None:
    rng = np.random.default_rng(1)
    places = rng.random((200, 10))
    places[100:] = places[:100]
    twins = find_twins(places, np.arange(200))
    assert {(a, b) for a, b in twins.pairs} >= {(k, k + 100) for k in range(100)}
    assert find_twins(places, np.arange(200) % 100).pairs == ()


def test_closeness_is_the_information_of_what_is_shared() -> None:
    places = np.array([[0.50, 2.0, np.nan], [0.51, 2.0, 0.3], [0.90, 4.0, 0.3]])
    ties = np.array([[0.01, 0.5, 0.0], [0.01, 0.5, 0.1], [0.01, 0.2, 0.1]])
    expected = [-np.log(0.03) - np.log(0.5), -np.log(0.81)]
    assert closeness(places, ties, 0) == pytest.approx(expected)


def test_the_order_of_rows_does_not_matter() -> None:
    subject = patients_again(100)
    assert run_one("near_duplicates", shuffled(subject)) == run_one("near_duplicates", subject)


def test_twins_in_the_same_folds_do_no_harm() -> None:
    subject = patients_again(100)
    together = Folds(subject.folds.table.assign(fold=0, role="train"))
    harmless = dataclasses.replace(subject, folds=together)
    assert run_one("near_duplicates", harmless).status == "clear"
