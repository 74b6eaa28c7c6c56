"""What is known of outcomes travels as one value, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd

from featurestore.outcomes import OUTCOMES, TARGETS, Target


def test_rows_are_taken_in_the_order_that_is_asked_for() -> None:
    target = Target.binary(np.array([0, 1, 1]))
    assert len(target) == 3
    assert target.event.dtype == float
    assert target.take(np.array([2, 0])).event.tolist() == [1.0, 0.0]
    assert target.take(np.array([True, False, True])).event.tolist() == [0.0, 1.0]
    assert target.take(np.array([], dtype=int)).kind == "binary"


def test_a_binary_target_is_read_from_the_outcome_of_the_patients_table() -> None:
    patients = pd.DataFrame({"patient_id": ["a", "b"], "outcome": [1.0, 0.0]})
    found = TARGETS["binary"](patients)
    assert (found.kind, found.event.tolist()) == ("binary", [1.0, 0.0])


def test_times_travel_with_what_ended_them() -> None:
    patients = pd.DataFrame(
        {"outcome": [1, 0, 2], "outcome_time": [30, 4, 5], "outcome_entry": [0, 1, 0]}
    )
    found = TARGETS["time_to_event"](patients).take(np.array([2, 0]))
    assert found.time is not None
    assert found.entry is not None
    assert (found.event.tolist(), found.time.tolist()) == ([2.0, 1.0], [5.0, 30.0])
    assert found.entry.tolist() == [0.0, 0.0]
    assert Target.time_to_event(found.event, found.time).entry is not None


def test_every_registered_outcome_has_a_kind_that_can_be_read() -> None:
    assert {outcome.kind for outcome in OUTCOMES.values()} <= TARGETS.keys()
