"""Baseline hazards and risks against R, and with what a patient is known to have survived."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import AT, COHORT, R, coarse

from fusion.metrics.survival.baseline import Baseline, baseline_hazard, cause_specific_risk
from fusion.metrics.survival.cox import cox_ridge
from fusion.metrics.survival.incidence import cumulative_incidence
from fusion.metrics.survival.kaplan_meier import nelson_aalen
from fusion.metrics.survival.simulation import Design, simulate
from fusion.metrics.survival.times import checked_times

X = np.stack([COHORT[name] for name in ("x1", "x2", "x3")], axis=1)
NEW = np.array([[-1.0, 0.0, 0.2], [0.0, 1.0, -0.3], [1.5, 1.0, 1.0]])


def test_equals_basehaz_and_survfit() -> None:
    fit = cox_ridge(coarse(entry=True), X)
    baseline = baseline_hazard(coarse(entry=True), fit.linear_predictor(X))
    np.testing.assert_allclose(baseline.at(AT), R["basehaz"], rtol=1e-8)
    risk = baseline.risk(fit.linear_predictor(NEW), AT)
    # R lists one time after the other, the rows within.
    np.testing.assert_allclose(risk.T.ravel(), R["cox.risk"], rtol=1e-8)


def test_competing_risks_equal_risk_regression() -> None:
    fits = [cox_ridge(coarse(), X, cause=cause) for cause in (1, 2)]
    baselines = [
        baseline_hazard(coarse(), fit.linear_predictor(X), cause=cause)
        for cause, fit in enumerate(fits, start=1)
    ]
    found = cause_specific_risk(baselines, [fit.linear_predictor(NEW) for fit in fits], AT)
    np.testing.assert_allclose(found.ravel(), R["csc.risk"], rtol=1e-6)


def test_without_a_predictor_it_is_nelson_aalen() -> None:
    times = checked_times([1, 2, 3, 4], [1, 0, 1, 1], [0, 0, 0, 2])
    baseline = baseline_hazard(times, np.full(4, 5.0))
    np.testing.assert_allclose(
        baseline.at(np.array([1, 3, 4])) * np.exp(5), nelson_aalen(times).at(np.array([1, 3, 4]))
    )


def test_nothing_is_known_beyond_the_last_exit() -> None:
    baseline = baseline_hazard(checked_times([1, 2, 5], [1, 1, 0]), np.zeros(3))
    np.testing.assert_array_equal(np.isnan(baseline.at(np.array([0, 4, 5, 5.1]))), [0, 0, 0, 1])
    both = [baseline, baseline_hazard(checked_times([1, 3], [1, 1]), np.zeros(2))]
    found = cause_specific_risk(both, [np.zeros(1), np.zeros(1)], np.array([3.0, 4.0]))
    np.testing.assert_array_equal(np.isnan(found), [[False, True]])


def test_risk_given_entry() -> None:
    baseline = Baseline(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.3, 0.6]), 4.0)
    entry = np.array([0.0, 1.0, 3.5])
    found = baseline.risk(np.zeros(3), np.array([3.0]), entry)[:, 0]
    np.testing.assert_allclose(found, -np.expm1(-np.array([0.6, 0.5, 0.0])))
    whole = baseline.risk(np.zeros(1), np.array([1.0, 3.0]))[0]
    assert found[1] == pytest.approx(1 - (1 - whole[1]) / (1 - whole[0]))


def test_competing_risk_given_entry_is_the_truth_of_a_simulation() -> None:
    cohort = simulate(Design(competing=0.5, censoring=0.1, late=0.5), 20_000, 3)
    times, lp = cohort.times, cohort.log_hazard_ratio
    baselines = [
        baseline_hazard(times, lp),
        baseline_hazard(times, np.zeros(len(lp)), cause=2),
    ]
    some = slice(0, 50)
    found = cause_specific_risk(
        baselines, [lp[some], np.zeros(50)], np.array([4.0]), times.entry[some]
    )
    np.testing.assert_allclose(found[:, 0], cohort.risk(4.0)[some], atol=0.02)


def test_one_group_is_nearly_aalen_johansen() -> None:
    times = coarse()
    baselines = [baseline_hazard(times, np.zeros(len(times)), cause=c) for c in (1, 2)]
    found = cause_specific_risk(baselines, [np.zeros(1), np.zeros(1)], AT[:4])[0]
    np.testing.assert_allclose(found, cumulative_incidence(times).at(AT[:4]), atol=0.01)
