"""Cumulative incidence against R's survival, etm and cmprsk."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import AT, R, coarse, fine
from test_kaplan_meier import agrees

from fusion.metrics.survival.incidence import cumulative_incidence, incidence_at
from fusion.metrics.survival.kaplan_meier import kaplan_meier
from fusion.metrics.survival.times import Times, checked_times


@pytest.mark.parametrize(("name", "times"), [("aj", coarse()), ("aj_fine", fine())])
@pytest.mark.parametrize(("cause", "code"), [("event", 1), ("competing", 2)])
def test_equals_survfit(name: str, times: Times, cause: str, code: int) -> None:
    agrees(cumulative_incidence(times, code), f"{name}.{cause}")


def test_delayed_entry_equals_survfit_and_etm() -> None:
    curve = cumulative_incidence(coarse(entry=True))
    np.testing.assert_allclose(curve.at(AT), R["aj_entry.event.value"], rtol=1e-10)
    np.testing.assert_allclose(curve.at(AT), R["etm_entry.event.value"], rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(curve.variance_at(AT)), R["etm_entry.event.se"], rtol=1e-10)


def test_values_equal_cmprsk_and_variances_nearly() -> None:
    """cuminc estimates the variance otherwise (Aalen 1978); the two agree to about 1 %."""
    curve = cumulative_incidence(coarse())
    np.testing.assert_allclose(curve.at(AT), R["cuminc.event.value"], rtol=1e-10)
    np.testing.assert_allclose(curve.variance_at(AT), R["cuminc.event.var"], rtol=0.015)


def test_without_rivals_it_is_one_minus_kaplan_meier() -> None:
    times = coarse(entry=True).any_event()
    curve, km = cumulative_incidence(times), kaplan_meier(times)
    np.testing.assert_allclose(curve.value, 1 - km.value, atol=1e-12)
    known = km.value > 0
    np.testing.assert_allclose(curve.variance[known], km.variance[known], rtol=1e-8)


def test_causes_add_up() -> None:
    times = coarse(entry=True)
    both = cumulative_incidence(times, 1).value + cumulative_incidence(times, 2).value
    np.testing.assert_allclose(both, 1 - kaplan_meier(times).value, atol=1e-12)


def test_by_hand() -> None:
    """A rival takes one of four; the event one of three; then nobody is left but the censored."""
    times = checked_times([1, 2, 3, 3], [2, 1, 0, 0], codes=(0, 1, 2))
    assert cumulative_incidence(times).at(2) == pytest.approx(3 / 4 / 3)
    assert np.isnan(cumulative_incidence(times).at(4))
    nothing = cumulative_incidence(times).estimate_at(1)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_draws_are_repeated_rows() -> None:
    times, rng = coarse(entry=True), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=5)
    for cause in (1, 2):
        found = incidence_at(times, AT[:4], weights, cause=cause)
        for line, values in zip(weights, found, strict=True):
            drawn = times.take(np.repeat(np.arange(len(times)), line))
            expected = cumulative_incidence(drawn, cause).at(AT[:4])
            np.testing.assert_allclose(values, expected, rtol=1e-10)
