"""Observed risk is Kaplan–Meier or Aalen–Johansen, and with late entry that of who entered."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import HORIZON, coarse

from fusion.metrics.survival.incidence import cumulative_incidence, incidence_at
from fusion.metrics.survival.observed import observed_risk, observed_risk_variance
from fusion.metrics.survival.simulation import Design, simulate
from fusion.metrics.survival.times import checked_times


@pytest.mark.parametrize("cause", [1, 2])
def test_is_aalen_johansen_in_every_draw(cause: int) -> None:
    times, rng = coarse(), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=50)
    for horizon in (0.5, 2.0, HORIZON, 13.0):
        found = observed_risk(times, horizon, weights, cause=cause)
        expected = incidence_at(times, np.array([horizon]), weights, cause=cause)[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_with_late_entry_it_is_the_share_of_those_who_entered() -> None:
    cohort = simulate(Design(competing=0.4, censoring=0.3, late=0.6), 20_000, 0)
    whole = cohort.uncensored
    entered = whole.entry < 4
    truth = np.mean(((whole.time <= 4) & (whole.event == 1))[entered])
    assert observed_risk(whole, 4.0)[0] == pytest.approx(truth)
    assert observed_risk(cohort.times, 4.0)[0] == pytest.approx(truth, abs=0.01)
    assert np.mean(cohort.risk(4.0)[entered]) == pytest.approx(truth, abs=0.01)


def test_variance() -> None:
    times = coarse()
    found = cumulative_incidence(times).variance_at(HORIZON)
    assert observed_risk_variance(times, HORIZON) == pytest.approx(float(found))
    late = checked_times([1, 2, 3, 4], [1, 1, 1, 1], [0.5, 0, 0, 0])
    assert observed_risk_variance(late, 2.0) == pytest.approx(0.25 / 4)  # two of four, none unknown


def test_a_draw_without_rows_is_nan() -> None:
    assert np.isnan(observed_risk(coarse(), 4.0, np.zeros((1, len(coarse())))))[0]
