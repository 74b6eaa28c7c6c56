"""What is known of each patient's outcome, in the form that its kind has.

A target travels where models are fitted and scored. A new kind of endpoint adds what it knows of a
patient here and a line to `TARGETS`; what is done with it is registered in `fusion.endpoints`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, Self

import numpy as np
import pandas as pd

Kind = Literal["binary", "time_to_event"]
"""Kinds of endpoints."""

TIME, ENTRY = "outcome_time", "outcome_entry"
"""Columns of a cohort's patients table beside `outcome`, in days since time zero, where the outcome
is a time to an event; `outcome` then holds the code of what ended the time."""


CENSORED, EVENT, COMPETING = 0.0, 1.0, 2.0
"""Codes of what ended a time."""
ENDS = {CENSORED: "censored", EVENT: "event", COMPETING: "competing event"}
"""The codes in words."""

OUTCOME_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "binary": ("outcome",),
    "time_to_event": ("outcome", TIME, ENTRY),
}
"""By kind: what a cohort's patients table says of the outcome."""


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """Outcomes of n rows.

    Attributes:
        kind: Kind of the endpoint.
        event: 1.0 where the outcome was seen, else 0.0; of times to an event 0.0 where censored and
            2.0 where a competing event came first. float64, shape (n,).
        time: Of times to an event: days from time zero to what `event` says; else None. Shape (n,).
        entry: Of times to an event: days from time zero to where observation began, 0.0 for those
            observed from there; else None. Shape (n,).
    """

    kind: Kind
    event: np.ndarray
    time: np.ndarray | None = None
    entry: np.ndarray | None = None

    @classmethod
    def binary(cls, event: np.ndarray) -> Self:
        """Outcomes that are there or not, whenever they came."""
        return cls("binary", np.asarray(event, dtype=float))

    @classmethod
    def time_to_event(
        cls, event: np.ndarray, time: np.ndarray, entry: np.ndarray | None = None
    ) -> Self:
        """Times under observation and what ended them; observed from time zero without `entry`."""
        days = np.asarray(time, dtype=float)
        began = np.zeros_like(days) if entry is None else np.asarray(entry, dtype=float)
        return cls("time_to_event", np.asarray(event, dtype=float), days, began)

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: np.ndarray) -> Self:
        """Returns the rows given by an integer or boolean index, in that order."""
        return dataclasses.replace(
            self,
            event=self.event[rows],
            time=None if self.time is None else self.time[rows],
            entry=None if self.entry is None else self.entry[rows],
        )


def _read_binary(patients: pd.DataFrame) -> Target:
    return Target.binary(patients["outcome"].to_numpy(dtype=float))


def _read_times(patients: pd.DataFrame) -> Target:
    event, time, entry = (patients[c].to_numpy(dtype=float) for c in ("outcome", TIME, ENTRY))
    return Target.time_to_event(event, time, entry)


TARGETS: dict[Kind, Callable[[pd.DataFrame], Target]] = {
    "binary": _read_binary,
    "time_to_event": _read_times,
}
"""By kind: reads the target out of rows of a cohort's patients table."""
