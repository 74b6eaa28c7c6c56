"""Columns that know outcomes scatter less than coins; honest ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from audit_example import clean_cohort, make_subject, run_one, with_column
from leak_example import late, level_rates, outcome

from fusion.audit.level_rates import too_steady


def chances(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=n)
    return x, (rng.random(n) < 1 / (1 + np.exp(-x))).astype(float)


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_honest_columns_are_not_steady(digits: int) -> None:
    """Also where values are few, and where they are the true chances themselves."""
    rng = np.random.default_rng(digits)
    for _ in range(30):
        x, y = chances(rng, 300)
        assert not too_steady(x.round(digits), y, 1, 0)
        assert not too_steady((1 / (1 + np.exp(-x))).round(digits + 1), y, 1, 0)


def test_rates_of_other_patients_are_honest() -> None:
    """A rate that was counted on other people (last year's) is a predictor like any other."""
    rng = np.random.default_rng(1)
    level = rng.integers(0, 60, 1200)
    chance = rng.beta(2, 4, 60)[level]
    y = (rng.random(1200) < chance).astype(float)
    old, new = np.arange(1200) < 600, np.arange(1200) >= 600
    rate = np.array([y[old & (level == k)].mean() for k in range(60)])[level]
    assert not too_steady(rate[new], y[new], 1, 0)


def test_a_column_that_patients_were_matched_by_is_no_rate() -> None:
    """As many events as others at each value scatter not at all, and predict nothing."""
    cohort = clean_cohort(patients=400)
    y = outcome(cohort)
    matched = np.empty(400)
    for label in (0, 1):
        rows = np.flatnonzero(y == label)
        matched[rows] = np.linspace(0, 20, len(rows)).round()
    subject = make_subject(with_column(cohort, late("matched"), matched))
    assert run_one("level_rates", subject).status == "clear"


@pytest.mark.parametrize("seed", range(5))
def test_rates_of_the_same_patients_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = (rng.random(400) < 0.3).astype(float)
    assert too_steady(level_rates(y, rng), y, 10, 0)
