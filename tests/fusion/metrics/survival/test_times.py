"""Follow-up that is no follow-up is refused in one line that says which rows and why."""

from __future__ import annotations

import numpy as np
import pytest

from featurestore.errors import DataError
from fusion.metrics.survival.times import checked_times, require_event

NAN = float("nan")


@pytest.mark.parametrize(
    ("time", "event", "entry", "message"),
    [
        ([3, -1, 2], [1, 0, 1], None, r"time is negative in 1 of 3 rows \(1\)"),
        ([3, 1, 2], [1, 0, 1], [0, 2, 0], r"entry is at or after exit in 1 of 3 rows \(1\)"),
        ([3, 1, 2], [1, 0, 1], [0, 1, 5], r"entry is at or after exit in 2 of 3 rows \(1, 2\)"),
        ([3, 1, 2], [1, 0, 1], [-1, 0, 0], "entry is negative"),
        ([3, 1, 2], [1, 0, 2], None, "event codes 2.0 are not declared; declared are 0, 1"),
        ([3, 1, 2], [1, 0, 0.5], None, "not declared"),
        ([3, NAN, 2], [1, 0, 1], None, "time is missing or not finite in 1 of 3"),
        ([3, float("inf"), 2], [1, 0, 1], None, "time is missing or not finite"),
        ([3, 1, 2], [1, NAN, 1], None, "event is missing"),
        ([3, 1, 2], [1, 0, 1], [0, NAN, 0], "entry is missing"),
        ([3, 1, 2], [1, 0], None, "event has shape"),
        ([3, 1, 2], [1, 0, 1], [0], "entry has shape"),
        ([], [], None, "filled column"),
        ([[3, 1]], [[1, 0]], None, "filled column"),
    ],
)
def test_bad_follow_up_is_refused(
    time: list[float], event: list[float], entry: list[float] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        checked_times(time, event, entry)
    assert "\n" not in str(caught.value)


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(DataError, match="all 2 rows are censored"):
        require_event(checked_times([1, 2], [0, 0]))
    rivals = checked_times([1, 2], [0, 2], codes=(0, 1, 2))
    with pytest.raises(DataError, match="censored or had a competing event"):
        require_event(rivals)
    require_event(rivals, cause=2)


def test_what_counts_as_the_event() -> None:
    times = checked_times([4, 3, 2, 1], [0, 1, 2, 3], codes=(0, 1, 2, 3))
    assert times.competing
    assert not times.delayed
    np.testing.assert_array_equal(times.cause_specific(2).event, [0, 0, 1, 0])
    np.testing.assert_array_equal(times.any_event().event, [0, 1, 1, 1])
    assert not times.cause_specific().competing
    np.testing.assert_array_equal(times.take(times.event > 1).time, [2, 1])


def test_who_is_there_from_the_start_may_leave_at_zero() -> None:
    times = checked_times([0, 0, 3], [1, 0, 1], [0, 0, 1])
    np.testing.assert_array_equal(times.after, [-np.inf, -np.inf, 1])
    assert times.delayed
