"""Kaplan–Meier, reverse Kaplan–Meier and Nelson–Aalen against R and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import AT, COHORT, R, coarse, fine

from fusion.metrics.survival._risk_sets import numbers_at_risk
from fusion.metrics.survival.kaplan_meier import (
    follow_up,
    kaplan_meier,
    nelson_aalen,
    survival_at,
)
from fusion.metrics.survival.step_curve import StepCurve
from fusion.metrics.survival.times import checked_times


def agrees(curve: StepCurve, name: str) -> None:
    """Whether value, standard error and interval are R's."""
    found = [curve.estimate_at(t) for t in AT]
    np.testing.assert_allclose(curve.at(AT), R[f"{name}.value"], rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(curve.variance_at(AT)), R[f"{name}.se"], rtol=1e-10)
    np.testing.assert_allclose([e.low for e in found], R[f"{name}.low"], rtol=1e-10)
    np.testing.assert_allclose([e.high for e in found], R[f"{name}.high"], rtol=1e-10)


def test_equals_survfit() -> None:
    agrees(kaplan_meier(coarse()), "km")
    agrees(kaplan_meier(coarse(entry=True)), "km_entry")
    np.testing.assert_array_equal(numbers_at_risk(coarse(), AT), R["km.at_risk"])
    np.testing.assert_array_equal(numbers_at_risk(coarse(entry=True), AT), R["km_entry.at_risk"])


@pytest.mark.parametrize("p", [0.25, 0.5])
def test_quantiles_equal_survfit(p: float) -> None:
    found = kaplan_meier(coarse()).quantile(p)
    np.testing.assert_allclose([found.value, found.low, found.high], R[f"km.quantile.{p}"])


def test_follow_up_equals_prodlim_with_ties_and_survfit_without() -> None:
    np.testing.assert_allclose(follow_up(coarse()).at(AT), R["follow_up"], rtol=1e-10)
    curve = follow_up(fine())
    agrees(curve, "follow_up_fine")
    found = curve.quantile()
    np.testing.assert_allclose([found.value, found.low, found.high], R["follow_up_fine.median"])


def test_nelson_aalen_equals_survfit() -> None:
    curve = nelson_aalen(coarse(entry=True))
    np.testing.assert_allclose(curve.at(AT), R["nelson_aalen.value"], rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(curve.variance_at(AT)), R["nelson_aalen.se"], rtol=1e-10)
    inside = (curve.low < curve.value) & (curve.value < curve.high)
    assert inside[curve.value > 0].all()


def test_by_hand() -> None:
    """Six rows: event at 1 of 6; 2 of 5; one censored at 2 too; the last two at 4, one event."""
    curve = kaplan_meier(checked_times([1, 2, 2, 2, 4, 4], [1, 1, 1, 0, 1, 0]))
    np.testing.assert_allclose(curve.value, [5 / 6, 5 / 6 * 3 / 5, 5 / 6 * 3 / 5 / 2])
    np.testing.assert_array_equal(curve.at_risk, [6, 5, 2])
    assert curve.at(0.5) == 1
    assert curve.at(1) == pytest.approx(5 / 6)
    assert np.isnan(curve.at(4.1))
    assert curve.quantile(0.5).value == 3  # level at exactly one half from 2 to 4


def test_a_curve_that_ends_at_zero_is_known_for_ever() -> None:
    curve = kaplan_meier(checked_times([1, 2], [1, 1]))
    assert curve.at(99) == 0
    assert np.isnan(curve.estimate_at(99).low)


def test_nobody_is_at_risk_before_entry() -> None:
    late = checked_times([1, 5, 6], [1, 1, 0], [0, 2, 2])
    np.testing.assert_array_equal(kaplan_meier(late).at_risk, [1, 2, 2 - 1])
    np.testing.assert_array_equal(numbers_at_risk(late, np.array([0, 1, 2, 3, 6])), [1, 1, 0, 2, 1])


def test_an_event_at_zero_counts_as_in_r() -> None:
    """`summary(survfit(Surv(c(0, 0, 1, 2), c(1, 0, 1, 0)) ~ 1), times = 0:2)`: .75, .375, .375."""
    curve = kaplan_meier(checked_times([0, 0, 1, 2], [1, 0, 1, 0]))
    np.testing.assert_allclose(curve.at([0, 1, 2]), [0.75, 0.375, 0.375])
    np.testing.assert_array_equal(curve.at_risk, [4, 2, 1])


def test_draws_are_repeated_rows() -> None:
    times, rng = coarse(entry=True), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=5)
    found = survival_at(times, AT[:4], weights)
    for line, values in zip(weights, found, strict=True):
        drawn = times.take(np.repeat(np.arange(len(times)), line))
        np.testing.assert_allclose(values, kaplan_meier(drawn).at(AT[:4]), rtol=1e-10)


def test_row_order_means_nothing() -> None:
    order = np.random.default_rng(1).permutation(len(COHORT["time"]))
    times = coarse(entry=True)
    np.testing.assert_array_equal(kaplan_meier(times.take(order)).value, kaplan_meier(times).value)
