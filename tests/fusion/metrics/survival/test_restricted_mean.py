"""Restricted means against R and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from survival_example import COHORT, HORIZON, R, coarse

from fusion.metrics.survival.restricted_mean import (
    restricted_mean,
    restricted_mean_at,
    restricted_mean_difference,
)
from fusion.metrics.survival.times import checked_times

GROUPS = [coarse(entry=True).take(COHORT["x2"] == group) for group in (0, 1)]


@pytest.mark.parametrize("group", [0, 1])
def test_equals_survfit(group: int) -> None:
    found = restricted_mean(GROUPS[group], HORIZON)
    np.testing.assert_allclose([found.value, found.variance**0.5], R[f"rmst.{group}"], rtol=1e-10)


def test_difference_of_independent_groups() -> None:
    found = restricted_mean_difference(GROUPS[1], GROUPS[0], HORIZON)
    (first, first_se), (second, second_se) = R["rmst.1"], R["rmst.0"]
    error = np.hypot(first_se, second_se)
    assert found.value == pytest.approx(first - second)
    assert found.estimate.low == pytest.approx(first - second - 1.959964 * error, abs=1e-6)
    assert found.p == pytest.approx(2 * norm.sf(abs(first - second) / error))


def test_by_hand() -> None:
    times = checked_times([1, 2, 3, 5], [1, 0, 1, 0])
    assert restricted_mean(times, 4).value == pytest.approx(1 + 0.75 * 2 + 0.375)
    assert restricted_mean(times, 0.5).value == 0.5
    assert restricted_mean(times, 0.5).variance == 0
    assert np.isnan(restricted_mean(times, 5.1).value)
    assert restricted_mean(checked_times([1, 3], [1, 1]), 9).value == pytest.approx(2)


def test_draws_are_repeated_rows() -> None:
    times, rng = coarse(entry=True), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=5)
    weights[4] = 0
    found = restricted_mean_at(times, HORIZON, weights)
    for line, value in zip(weights[:4], found, strict=False):
        drawn = times.take(np.repeat(np.arange(len(times)), line))
        assert value == pytest.approx(restricted_mean(drawn, HORIZON).value)
    assert np.isnan(found[4])
