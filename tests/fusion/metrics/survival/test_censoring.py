"""Weights against R's prodlim and pec, and the rules about ties, entry, floors and support."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import AT, R, coarse

from fusion.metrics.survival.censoring import (
    FLOOR,
    by_part,
    censoring_distribution,
    last_supported_time,
    out_of_fold,
    state_at,
)
from fusion.metrics.survival.times import checked_times


def test_distribution_equals_prodlim_before_each_time() -> None:
    found = censoring_distribution(coarse()).chance(np.zeros(len(AT)), AT)[:, 0]
    np.testing.assert_allclose(found, R["g_before"], rtol=1e-10)


def test_weights_equal_pec() -> None:
    times = coarse()
    censoring = censoring_distribution(times)
    own = np.sort(1 / censoring.chance(times.entry, times.time)[:, 0])
    np.testing.assert_allclose(own, np.sort(1 / R["ipcw.subject"]), rtol=1e-10)
    state = state_at(times, 2.9, censoring)
    at_horizon = state.weight[times.time > 2.9]
    np.testing.assert_allclose(at_horizon, 1 / R["ipcw.horizon"][0], rtol=1e-10)


def test_state_at_a_horizon() -> None:
    """Events at the horizon are cases, censored at it free, censored before it unknown."""
    times = checked_times(
        [1, 2, 2, 1, 3, 1.5, 5], [1, 1, 0, 0, 1, 2, 1], [0, 0, 0, 0, 0, 0, 2], codes=(0, 1, 2)
    )
    state = state_at(times, 2.0, censoring_distribution(times))
    np.testing.assert_array_equal(state.case, [True, True, False, False, False, False, False])
    np.testing.assert_array_equal(state.control, [False, False, True, False, True, True, False])
    np.testing.assert_array_equal(state.entered, [True] * 6 + [False])
    # One of the five that were left after the event at 1 was censored then.
    np.testing.assert_allclose(state.weight[:, 0], [1, 1.25, 1.25, 0, 1.25, 1.25, 0])


def test_weights_add_up_to_everyone() -> None:
    """Without entry and floors, the known rows stand for the unknown ones exactly."""
    times = coarse()
    state = state_at(times, 4.0, censoring_distribution(times))
    assert state.weight.sum() == pytest.approx(len(times))


def test_entry_makes_the_chance_one_of_staying_from_then_on() -> None:
    training = checked_times([1, 2, 3, 4], [0, 0, 0, 1])
    censoring = censoring_distribution(training)
    found = censoring.chance(np.array([0.0, 1.0, 2.0]), np.array([3.0, 3.0, 3.0]))
    np.testing.assert_allclose(found[:, 0], [1 / 2, 2 / 3, 1])


def test_the_first_few_that_entered_say_nothing() -> None:
    """The only one under observation at 1 is censored: G is not 0 for who comes later."""
    training = checked_times([1, 4, 5, 6], [0, 1, 0, 1], [0, 2, 2, 2])
    censoring = censoring_distribution(training)
    found = censoring.chance(np.array([0.0, 2.0, 5.0]), np.full(3, 6.0))
    np.testing.assert_allclose(found[:, 0], [1 / 2, 1 / 2, 1])
    assert censoring.last == 6


def test_no_row_counts_for_more_than_twenty() -> None:
    training = checked_times(np.arange(1, 101), np.arange(1, 101) == 100)
    censoring = censoring_distribution(training)
    assert censoring.chance(np.zeros(1), np.array([100.0]))[0, 0] == pytest.approx(FLOOR)
    assert censoring.last == 96  # the 96th censoring leaves 4 of 100
    assert censoring.chance(np.zeros(1), np.array([96.0]))[0, 0] == pytest.approx(0.05)


def test_each_row_has_the_training_part_of_its_model() -> None:
    first = censoring_distribution(checked_times([1, 2, 3], [0, 1, 1]))
    second = censoring_distribution(checked_times([1, 2, 9], [1, 0, 1]))
    both = by_part([first, second], np.array([1, 0, 1]))
    times = np.array([3.0, 3.0, 2.0])
    np.testing.assert_allclose(both.chance(np.zeros(3), times)[:, 0], [1 / 2, 2 / 3, 1])
    assert both.last == 3


def test_last_supported_time() -> None:
    evaluated = checked_times(np.arange(1, 31), np.ones(30))
    training = censoring_distribution(checked_times([5, 18, 40], [1, 0, 1]))
    assert last_supported_time(evaluated, training) == 21  # ten rows are left: 21 to 30
    assert last_supported_time(evaluated, training, at_risk=1) == 30
    short = censoring_distribution(checked_times([5, 12], [1, 0]))
    assert last_supported_time(evaluated, short) == 12
    assert last_supported_time(evaluated, short, at_risk=31) == -np.inf


def test_a_floor_is_not_met_by_the_first_few_that_entered() -> None:
    """Two early rows of whom one is censored say little about the thirty that come later."""
    exits = np.concatenate([[1, 1.5], np.arange(10, 40)])
    entry = np.concatenate([[0, 0], np.full(30, 5.0)])
    training = checked_times(exits, np.concatenate([[0, 0], np.ones(30)]), entry)
    assert censoring_distribution(training).last == 39


def test_a_distribution_for_each_draw_of_the_training_rows() -> None:
    times, rng = coarse(entry=True), np.random.default_rng(0)
    fold = np.arange(len(times)) % 3
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=4)
    found = out_of_fold(times, fold, weights).chance(times.after, times.time)
    assert found.shape == (len(times), 4)
    for draw, line in enumerate(weights):
        for part in range(3):
            rows = np.repeat(np.arange(len(times)), line * (fold != part))
            alone = censoring_distribution(times.take(rows))
            scored = times.take(fold == part)
            expected = alone.chance(scored.after, scored.time)[:, 0]
            np.testing.assert_allclose(found[fold == part, draw], expected, rtol=1e-10)


def test_support_is_that_of_the_rows_as_they_are() -> None:
    times = coarse()
    once = out_of_fold(times, np.arange(len(times)) % 3)
    drawn = out_of_fold(times, np.arange(len(times)) % 3, np.eye(len(times)))
    assert once.last == drawn.last
