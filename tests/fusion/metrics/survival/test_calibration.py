"""Calibration at a horizon and over follow-up against R, and what the truth gets."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from survival_example import COHORT, HORIZON, R, coarse, fine

from featurestore.errors import DataError
from fusion.metrics.survival.calibration import (
    calibration_intercept_at,
    calibration_slope_at,
    hazard_intercept,
    hazard_slope,
    observed_over_expected,
    risk_bins,
)
from fusion.metrics.survival.censoring import censoring_distribution
from fusion.metrics.survival.kaplan_meier import kaplan_meier
from fusion.metrics.survival.simulation import Design, simulate
from fusion.metrics.survival.times import Times, checked_times

RISK = COHORT["risk"]
EXPECTED = -np.log(1 - RISK) * COHORT["time"] / HORIZON


def test_observed_over_expected_equals_survfit() -> None:
    found = observed_over_expected(coarse().any_event(), RISK, HORIZON)
    np.testing.assert_allclose(found, R["observed_over_expected"], rtol=1e-10)
    found = observed_over_expected(coarse(), RISK, HORIZON)
    np.testing.assert_allclose(found, R["observed_over_expected_competing"], rtol=1e-10)
    assert np.isnan(observed_over_expected(coarse(), RISK, 99.0))[0]


@pytest.mark.parametrize(("name", "times"), [("any", fine().any_event()), ("own", fine())])
def test_intercept_and_slope_equal_glm(name: str, times: Times) -> None:
    censoring = censoring_distribution(fine())
    found = [
        calibration_intercept_at(times, RISK, HORIZON, censoring)[0],
        calibration_slope_at(times, RISK, HORIZON, censoring)[0],
    ]
    np.testing.assert_allclose(found, R[f"calibration.{name}"], rtol=1e-6)


def test_hazard_calibration_equals_glm() -> None:
    found = [
        hazard_intercept(coarse(), EXPECTED)[0],
        hazard_slope(coarse(), EXPECTED, COHORT["score"])[0],
    ]
    np.testing.assert_allclose(found, R["hazard_calibration"], rtol=1e-6)


@pytest.mark.parametrize(("competing", "late"), [(0.0, 0.0), (0.5, 0.5)])
def test_the_truth_is_calibrated(competing: float, late: float) -> None:
    cohort = simulate(Design(competing=competing, censoring=0.2, late=late), 20_000, 1)
    times, risk = cohort.times, cohort.risk(4.0)
    censoring = censoring_distribution(times)
    assert observed_over_expected(times, risk, 4.0)[0] == pytest.approx(1, abs=0.03)
    assert calibration_intercept_at(times, risk, 4.0, censoring)[0] == pytest.approx(0, abs=0.04)
    assert calibration_slope_at(times, risk, 4.0, censoring)[0] == pytest.approx(1, abs=0.04)
    d, lp = cohort.design, cohort.log_hazard_ratio
    span = (times.time**d.shape - times.entry**d.shape) / d.scale**d.shape
    assert hazard_intercept(times, span * np.exp(lp))[0] == pytest.approx(0, abs=0.03)
    assert hazard_slope(times, span * np.exp(lp), lp)[0] == pytest.approx(1, abs=0.03)
    bins = risk_bins(times, risk, 4.0, bins=5)
    np.testing.assert_allclose(bins.observed, bins.predicted, atol=0.03)
    assert ((bins.low < bins.observed) & (bins.observed < bins.high)).all()


def test_draws_are_repeated_rows() -> None:
    times = coarse(entry=True)
    censoring, rng = censoring_distribution(times), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=4)
    functions = {
        "o/e": lambda t, r, w: observed_over_expected(t, r[0], 3.0, w),
        "intercept": lambda t, r, w: calibration_intercept_at(t, r[0], 3.0, censoring, w),
        "slope": lambda t, r, w: calibration_slope_at(t, r[0], 3.0, censoring, w),
        "hazard intercept": lambda t, r, w: hazard_intercept(t, r[1], w),
        "hazard slope": lambda t, r, w: hazard_slope(t, r[1], r[2], w),
    }
    columns = np.stack([RISK, EXPECTED, COHORT["score"]])
    for name, function in functions.items():
        for line, value in zip(weights, function(times, columns, weights), strict=True):
            rows = np.repeat(np.arange(len(times)), line)
            expected = function(times.take(rows), columns[:, rows], None)[0]
            assert value == pytest.approx(expected, rel=1e-6), name


def test_bins_are_kaplan_meier_within_them() -> None:
    times = coarse().any_event()
    bins = risk_bins(times, RISK, HORIZON, bins=4)
    assert bins.count.sum() == len(times)
    edges = np.quantile(RISK, [0.25, 0.5, 0.75])
    lowest = edges[0] > RISK
    curve = kaplan_meier(times.take(lowest)).estimate_at(HORIZON)
    assert bins.observed[0] == pytest.approx(1 - curve.value)
    assert bins.predicted[0] == pytest.approx(RISK[lowest].mean())
    assert len(risk_bins(times, np.full(len(times), 0.2), HORIZON).count) == 1


def test_what_has_no_finite_estimate_is_nan() -> None:
    n = 40
    exits = np.concatenate([np.linspace(1, 2, n // 2), np.linspace(5, 6, n // 2)])
    times = checked_times(exits, np.ones(n))
    censoring = censoring_distribution(times)
    separated = np.where(exits < 3, 0.8, 0.1) + exits / 1000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(calibration_slope_at(times, separated, 4.0, censoring))[0]
        assert np.isnan(calibration_slope_at(times, np.full(n, 0.3), 4.0, censoring))[0]
        assert np.isnan(calibration_intercept_at(times, separated, 0.5, censoring))[0]
        assert np.isnan(calibration_intercept_at(times, separated, 7.0, censoring))[0]
        extreme = np.where(np.arange(n) % 2 == 0, 0.0, 1.0)
        assert np.isfinite(calibration_slope_at(times, extreme, 4.0, censoring))[0]
        assert np.isnan(hazard_slope(times, exits, np.zeros(n)))[0]
        nobody = checked_times(exits, np.zeros(n))
        assert np.isnan(hazard_intercept(nobody, exits))[0]


def test_no_hazard_is_refused() -> None:
    with pytest.raises(DataError, match="not negative"):
        hazard_intercept(coarse(), -np.ones(len(coarse())))
