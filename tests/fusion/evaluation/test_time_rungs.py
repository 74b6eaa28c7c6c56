"""Who stands on which rung of the time ladder, and on which clock: by hand, and for any times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.evaluation.time_rungs import (
    CLEARED,
    DELAYED,
    ENDED,
    FROM_SPECIMEN,
    FROM_ZERO,
    HAD_EVENT,
    NO_DAY,
    PRIMARIES,
    RungRows,
    time_rungs,
)
from fusion.metrics.survival import checked_times

NAN = float("nan")
# 0 follows the specimen, 1 died on its day, 2 progressed before it, 3 was lost before it, 4 has no
# day, 5 was sampled before diagnosis, 6 is a primary.
TIMES = checked_times([100, 40, 50, 30, 80, 60, 70], [1, 1, 1, 0, 1, 0, 1])
DAY = np.array([40, 40, 90, 40, NAN, -5, 0])
PRIMARY = np.array([0, 0, 0, 0, 1, NAN, 1])


@pytest.fixture
def rungs() -> dict[str, RungRows]:
    return {rung.name: rung for rung in time_rungs(TIMES, DAY, PRIMARY)}


def test_everyone_is_on_the_first(rungs: dict[str, RungRows]) -> None:
    first = rungs[FROM_ZERO]
    assert first.kept.all()
    assert not first.left_out
    np.testing.assert_array_equal(first.times.time, TIMES.time)
    assert not first.times.delayed


def test_delayed_entry(rungs: dict[str, RungRows]) -> None:
    rung = rungs[DELAYED]
    assert np.flatnonzero(rung.kept).tolist() == [0, 5, 6]
    assert rung.times.entry.tolist() == [40, 0, 0]
    assert rung.times.time.tolist() == [100, 60, 70]
    assert rung.left_out == {NO_DAY: 1, HAD_EVENT: 2, ENDED: 1}


def test_from_the_specimen_earlier_events_count_at_once(rungs: dict[str, RungRows]) -> None:
    rung = rungs[FROM_SPECIMEN]
    assert np.flatnonzero(rung.kept).tolist() == [0, 1, 2, 5, 6]
    assert rung.times.time.tolist() == [60, 0, 0, 60, 70]
    assert rung.at_once == 2
    assert rung.left_out == {NO_DAY: 1, ENDED: 1}


def test_earlier_events_out(rungs: dict[str, RungRows]) -> None:
    rung = rungs[CLEARED]
    assert rung.times.time.tolist() == [60, 60, 70]
    assert rung.times.event.tolist() == [1, 0, 1]
    assert rung.left_out == {NO_DAY: 1, HAD_EVENT: 2, ENDED: 1}


def test_primaries_and_those_of_whom_it_is_not_known(rungs: dict[str, RungRows]) -> None:
    rung = rungs[PRIMARIES]
    assert np.flatnonzero(rung.kept).tolist() == [6]
    assert sum(rung.left_out.values()) == 6
    assert rung.left_out["the specimen is no primary"] == 4


def test_without_any_day_only_the_first_rung_has_anyone() -> None:
    rungs = time_rungs(TIMES, np.full(7, NAN), PRIMARY)
    assert [len(rung.times) for rung in rungs] == [7, 0, 0, 0, 0]


PEOPLE = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.sampled_from([0, 1, 2]),
        st.one_of(st.just(NAN), st.integers(-5, 60).map(float)),
        st.sampled_from([0.0, 1.0, NAN]),
    ),
    min_size=1,
    max_size=40,
)


@given(PEOPLE)
def test_every_patient_is_on_a_rung_or_counted_once(
    people: list[tuple[int, int, float, float]],
) -> None:
    time, event, day, primary = map(np.array, zip(*people, strict=True))
    rungs = time_rungs(checked_times(time, event, codes=(0, 1, 2)), day, primary)
    for rung in rungs:
        assert rung.kept.sum() == len(rung.times)
        assert rung.kept.sum() + sum(rung.left_out.values()) == len(people)
        if len(rung.times):  # what every estimator asks of times
            checked_times(rung.times.time, rung.times.event, rung.times.entry, codes=(0, 1, 2))
    delayed, cleared = rungs[1], rungs[3]
    np.testing.assert_array_equal(delayed.kept, cleared.kept)
    np.testing.assert_array_equal(delayed.times.time - delayed.times.entry, cleared.times.time)
