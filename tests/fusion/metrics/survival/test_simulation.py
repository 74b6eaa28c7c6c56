"""Simulated cohorts are what their design says, and the truth is the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

from fusion.metrics.survival.cox import cox_ridge
from fusion.metrics.survival.simulation import Design, simulate, truth

DESIGN = Design(effect=0.8, competing=0.5, censoring=0.2, late=0.5)


def test_a_seed_is_a_cohort() -> None:
    first, again, other = (simulate(DESIGN, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.times.time, again.times.time)
    assert (first.times.time != other.times.time).all()
    assert len(first.times) == len(first.log_hazard_ratio) == 50


@pytest.mark.parametrize("rounding", [0.0, 0.25])
def test_events_follow_the_design(rounding: float) -> None:
    cohort = simulate(dataclasses.replace(DESIGN, rounding=rounding), 20_000, 0)
    whole, seen = cohort.uncensored, cohort.times
    assert (seen.entry < seen.time).all()
    assert (seen.time <= whole.time).all()
    assert 0.1 < np.mean(seen.entry > 0) < 0.5
    fit = cox_ridge(seen, cohort.log_hazard_ratio[:, None])
    assert fit.coefficients[0] == pytest.approx(1, abs=0.05)
    entered = seen.entry < 3
    had = (whole.time <= 3) & (whole.event == 1)
    assert np.mean(had[entered]) == pytest.approx(cohort.risk(3.0)[entered].mean(), abs=0.01)
    if rounding:
        assert len(np.unique(seen.time)) < 200


def test_truth_of_no_effect_and_of_a_known_one() -> None:
    nothing = truth(dataclasses.replace(DESIGN, effect=1e-9, late=0.0), 3.0, blocks=1)
    assert nothing.auc == pytest.approx(0.5, abs=0.03)
    assert nothing.concordance == pytest.approx(0.5, abs=0.03)
    known = Design(effect=0.8, shape=1.0, competing=0.0, censoring=0.0)
    # Of two rows with log hazard ratios apart by d, the higher has its event first with
    # probability 1 / (1 + exp(-d)).
    d = np.abs(norm.ppf((np.arange(20_000) + 0.5) / 20_000)) * 0.8 * np.sqrt(2)
    expected = np.mean(1 / (1 + np.exp(-d)))
    assert truth(known, 40.0, blocks=3).concordance == pytest.approx(expected, abs=0.01)
