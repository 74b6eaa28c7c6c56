"""Discrete time: intervals, targets and risks by hand, and against the life table."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import coarse

from featurestore.errors import DataError
from fusion.metrics.survival.discrete_time import (
    interval_ends,
    log_likelihood,
    risk_from_hazards,
    targets,
)
from fusion.metrics.survival.incidence import cumulative_incidence
from fusion.metrics.survival.times import checked_times

ENDS = np.array([1.0, 2.0, 4.0])


def test_intervals_hold_equally_many_events() -> None:
    times = checked_times(np.arange(1, 13), np.ones(12))
    np.testing.assert_array_equal(interval_ends(times, 4), [3, 6, 9, 12])
    tied = checked_times([1, 1, 1, 1, 5, 6], [1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(interval_ends(tied, 3), [1, 6])
    np.testing.assert_array_equal(interval_ends(tied, 1), [6])
    with pytest.raises(DataError, match="no event"):
        interval_ends(checked_times([1], [0]), 3)
    with pytest.raises(DataError, match="one interval or more"):
        interval_ends(tied, 0)


def test_targets_by_hand() -> None:
    """Event in the second; censored before and after half of the third; late; a rival; beyond."""
    times = checked_times(
        [2, 2.9, 3, 4, 0.1, 9], [1, 0, 0, 1, 2, 1], [0, 0, 0, 1.6, 0, 0], codes=(0, 1, 2)
    )
    found = targets(times, ENDS)
    np.testing.assert_array_equal(
        found.at_risk,
        [[1, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0], [1, 1, 1]],
    )
    np.testing.assert_array_equal(
        found.event, [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [2, 0, 0], [0, 0, 0]]
    )


def test_log_likelihood_by_hand() -> None:
    times = checked_times([2, 4, 0.5], [1, 0, 2], codes=(0, 1, 2))
    found = targets(times, ENDS)
    hazards = np.tile(np.array([[0.1, 0.2, 0.3]]), (3, 1))
    rivals = np.stack([hazards, hazards / 2], axis=2)
    np.testing.assert_allclose(
        log_likelihood(rivals, found),
        np.log([0.85 * 0.2, 0.85 * 0.7 * 0.55, 0.05]),
    )
    one = targets(times.cause_specific(), ENDS)
    np.testing.assert_allclose(log_likelihood(hazards, one)[:2], np.log([0.9 * 0.2, 0.72 * 0.7]))


def test_risk_by_hand() -> None:
    hazards = np.array([[0.1, 0.2, 0.36]])
    found = risk_from_hazards(hazards, ENDS, np.array([1.0, 2.0, 3.0, 4.0, 4.1]))[0]
    np.testing.assert_allclose(found[:4], [0.1, 1 - 0.72, 1 - 0.72 * 0.8, 1 - 0.72 * 0.64])
    assert np.isnan(found[4])
    late = risk_from_hazards(hazards, ENDS, np.array([3.0]), np.array([1.0]))[0, 0]
    assert late == pytest.approx(1 - 0.8 * 0.8)
    assert risk_from_hazards(hazards, ENDS, np.array([3.0]), np.array([3.5]))[0, 0] == 0


def test_risk_of_the_first_cause_by_hand() -> None:
    hazards = np.array([[[0.1, 0.1], [0.2, 0.0], [0.0, 0.0]]])
    found = risk_from_hazards(hazards, ENDS, np.array([1.0, 2.0, 4.0]))[0]
    np.testing.assert_allclose(found, [0.1, 0.1 + 0.8 * 0.2, 0.1 + 0.8 * 0.2])


@pytest.mark.parametrize("cause", [1, 2])
def test_the_best_hazards_are_nearly_aalen_johansen(cause: int) -> None:
    """Shares of events among those at risk maximise the likelihood; they give the incidence."""
    times = coarse(entry=True)
    ends = np.arange(0.25, times.time.max() + 0.25, 0.25)
    found = targets(times, ends)
    at_risk = found.at_risk.sum(axis=0)
    shares = np.stack([np.sum(found.event == c, axis=0) for c in (cause, 3 - cause)], axis=1)
    hazards = (shares / np.maximum(at_risk, 1)[:, None])[None]
    at = np.array([1.0, 2.0, 4.0])
    expected = cumulative_incidence(times, cause).at(at)
    np.testing.assert_allclose(risk_from_hazards(hazards, ends, at)[0], expected, atol=0.01)
