"""Scores to hazards and risks: slope, baselines, cut points, against independent references."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from times_features_example import DESIGN, HARD

from fusion.metrics.survival import cause_specific_risk, cox_ridge, incidence_at
from fusion.metrics.survival.simulation import simulate
from fusion.models.survival import cut_points, fit_risk_scale, groups_of
from fusion.models.survival.intervals import Intervals
from fusion.models.survival.kaplan_meier import curve_risk
from fusion.models.survival.risk_scale import SLOPES, incidence

IDS = np.array([f"P{k:04d}" for k in range(3000)])
AT = np.array([360.0, 1080.0])
"""Whole numbers of the quarters that `HARD` rounds times to."""


def test_the_slope_is_the_coefficient_of_a_cox_regression() -> None:
    """`PHReg(time, score, status, ties="efron").fit().params`."""
    cohort = simulate(DESIGN, 400, 0)
    score = 3.0 * cohort.log_hazard_ratio + 7.0
    scale = fit_risk_scale(IDS[:400], cohort.times, score)
    status = (cohort.times.event == 1).astype(int)
    fitted = PHReg(cohort.times.time, score[:, None], status, ties="efron").fit()
    assert scale.slope == pytest.approx(fitted.params[0], rel=1e-4)
    assert scale.centre == pytest.approx(score.mean())
    lp = scale.log_hazard_ratio(score)
    assert lp.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("design", [DESIGN, HARD], ids=["plain", "hard"])
def test_risks_are_the_true_ones_where_the_score_is_the_truth(design: object) -> None:
    cohort = simulate(HARD if design is HARD else DESIGN, 3000, 1)
    scale = fit_risk_scale(IDS, cohort.times, cohort.log_hazard_ratio)
    lp = scale.log_hazard_ratio(cohort.log_hazard_ratio)
    risk = scale.risk(lp, AT, cohort.times.entry)
    for k, horizon in enumerate(AT):
        true = cohort.risk(horizon)
        assert np.abs(risk[:, k] - true).mean() < 0.02
        assert abs(risk[:, k].mean() - true.mean()) < 0.015
    assert (len(scale.baselines) == 2) == (design is HARD)


def test_incidence_is_that_of_cause_specific_hazards_where_steps_are_small() -> None:
    cohort = simulate(dataclasses.replace(DESIGN, competing=0.5, late=0.3), 3000, 1)
    scale = fit_risk_scale(IDS, cohort.times, cohort.log_hazard_ratio)
    lp = np.clip(cohort.log_hazard_ratio, -2, 2)
    both, entry = [lp, scale.competing_slope * lp], cohort.times.entry
    own = incidence(scale.baselines, both, AT, entry)
    usual = cause_specific_risk(scale.baselines, both, AT, entry)
    np.testing.assert_allclose(own, usual, atol=5e-3)
    alone = incidence(scale.baselines[:1], both[:1], AT, entry)
    np.testing.assert_allclose(alone, scale.baselines[0].risk(lp, AT, entry), atol=1e-12)


def test_competing_hazards_may_depend_on_the_score() -> None:
    """The competing event of the simulation does not; of the reversed codes it does."""
    cohort = simulate(dataclasses.replace(DESIGN, competing=1.0), 3000, 2)
    scale = fit_risk_scale(IDS, cohort.times, cohort.log_hazard_ratio)
    assert abs(scale.competing_slope) < 0.1
    swapped = dataclasses.replace(cohort.times, event=np.array([0, 2, 1])[cohort.times.event])
    other = fit_risk_scale(IDS, swapped, -cohort.log_hazard_ratio)
    expected = cox_ridge(swapped, -cohort.log_hazard_ratio[:, None], cause=2).coefficients[0]
    assert other.competing_slope * other.slope == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("sign", [0.0, -1.0])
def test_scaling_never_reverses_a_ranking(sign: float) -> None:
    cohort = simulate(DESIGN, 300, 3)
    scale = fit_risk_scale(IDS[:300], cohort.times, sign * cohort.log_hazard_ratio)
    lp = scale.log_hazard_ratio(sign * cohort.log_hazard_ratio)
    if sign == 0:
        assert scale.slope == 0
        assert lp.tolist() == [0.0] * 300
    else:
        assert np.std(lp) == pytest.approx(SLOPES[0], rel=0.05)


def test_the_curve_of_everybody_is_kaplan_and_meiers() -> None:
    """`SurvfuncRight(time, status, entry)` of statsmodels."""
    times = simulate(DESIGN, 200, 4).times
    curve = SurvfuncRight(times.time, (times.event == 1).astype(int))
    expected = [1 - curve.surv_prob[curve.surv_times <= h][-1] for h in AT]
    np.testing.assert_allclose(curve_risk(times, AT, np.zeros(2)), [expected] * 2, rtol=1e-12)
    free = 1 - np.array(expected)
    later = curve_risk(times, AT, np.array([360.0]))
    np.testing.assert_allclose(later[0], [0.0, 1 - free[1] / free[0]], rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
def test_the_curve_of_everybody_knows_competing_events() -> None:
    """`CumIncidenceRight(time, status)` of statsmodels."""
    times = simulate(dataclasses.replace(HARD, late=0.0), 200, 5).times
    found = CumIncidenceRight(times.time, times.event)
    at = np.searchsorted(found.times, AT, side="right") - 1
    np.testing.assert_allclose(curve_risk(times, AT, np.zeros(1))[0], found.cinc[0][at], rtol=1e-10)


@pytest.mark.parametrize("design", [DESIGN, HARD], ids=["plain", "hard"])
def test_hazards_in_intervals_add_up_to_the_curve_of_everybody(design: object) -> None:
    """Where all have the same hazards in each interval, risks are those of the cohort."""
    times = simulate(HARD if design is HARD else DESIGN, 3000, 6).times
    times = dataclasses.replace(times, entry=np.zeros(len(times)))
    scale = fit_risk_scale(IDS, times, np.zeros(3000))
    intervals = Intervals.of(times, 12)
    steps = np.diff(scale.baselines[0].at(intervals.ends), prepend=0.0)
    zero = np.zeros(2)
    risk = intervals.risk(7.0 * np.tile(steps, (2, 1)), scale, zero, AT, zero)
    np.testing.assert_allclose(risk[0], incidence_at(times, AT)[0], atol=0.01)


def test_groups_are_cut_at_quantiles_and_counted_from_the_lowest() -> None:
    score = np.random.default_rng(0).normal(size=300)
    cuts = cut_points(IDS[:300], score)
    assert np.bincount(groups_of(score, cuts)).tolist() == [100, 100, 100]
    assert cut_points(IDS[:300], score, (0.9, 0.5)).tolist() == sorted(
        np.quantile(score, [0.5, 0.9])
    )
    assert groups_of(np.array([-9.0, 9.0]), cuts).tolist() == [0, 2]
    nobody = cut_points(IDS[:3], np.zeros(3))
    assert groups_of(np.zeros(3), nobody).tolist() == [0, 0, 0]
