"""Times under observation and what ended them: the checked input of every survival estimator.

A row is under observation over (entry, time]: it is at risk at t if entry < t ≤ time. A row that
enters at 0 is there from the start: it may leave at 0, with or without an event, as in R. Codes
are 0 for censored, 1 for the event, 2 and above for competing events, which make the event
impossible. Any one unit of time will do. Equal means equal to the last bit: times are rounded
where they are made (whole days), never here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from featurestore.errors import DataError, name_some

CENSORED = 0
EVENT = 1


@dataclasses.dataclass(frozen=True)
class Times:
    """Follow-up of n rows; made by `checked_times`.

    Attributes:
        time: When observation ended. Shape (n,), float64.
        event: Code of what ended it. Shape (n,), int64.
        entry: From when on the row was under observation, 0 from time zero. Shape (n,), float64.
    """

    time: np.ndarray
    event: np.ndarray
    entry: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    @property
    def delayed(self) -> bool:
        """Whether any row came under observation after time zero."""
        return bool((self.entry > 0).any())

    @property
    def after(self) -> np.ndarray:
        """A row is at risk at t if after < t ≤ time: entry, minus infinity from the start. (n,)."""
        return np.where(self.entry > 0, self.entry, -np.inf)

    @property
    def competing(self) -> bool:
        """Whether any row ended with a competing event."""
        return bool((self.event > EVENT).any())

    def take(self, rows: np.ndarray) -> Times:
        """Some of the rows, by position or by a mask."""
        return Times(self.time[rows], self.event[rows], self.entry[rows])

    def cause_specific(self, cause: int = EVENT) -> Times:
        """One cause as the event, all others as censoring: what a cause-specific hazard sees."""
        return dataclasses.replace(self, event=(self.event == cause).astype(np.int64))

    def any_event(self) -> Times:
        """Whatever happened first as the event."""
        return dataclasses.replace(self, event=(self.event > CENSORED).astype(np.int64))


def checked_times(
    time: np.ndarray | Sequence[float],
    event: np.ndarray | Sequence[int],
    entry: np.ndarray | Sequence[float] | None = None,
    *,
    codes: Sequence[int] = (CENSORED, EVENT),
) -> Times:
    """Checks follow-up columns.

    Args:
        time: When observation ended. Shape (n,).
        event: Code of what ended it. Shape (n,).
        entry: From when on the row was under observation; None for time zero. Shape (n,).
        codes: The codes that may occur.

    Raises:
        DataError: Shapes differ or nothing is there, a value is missing or not finite, a time is
            negative, a row leaves before or when it enters, or a code is not declared.
    """
    exits = np.asarray(time, dtype=float)
    codes_seen = np.asarray(event, dtype=float)
    entries = np.zeros_like(exits) if entry is None else np.asarray(entry, dtype=float)
    if exits.ndim != 1 or not len(exits):
        raise DataError(f"follow-up needs a filled column of times, not shape {exits.shape}")
    for name, column in (("event", codes_seen), ("entry", entries)):
        if column.shape != exits.shape:
            raise DataError(f"{name} has shape {column.shape} beside times of {exits.shape}")
    for name, column in (("time", exits), ("event", codes_seen), ("entry", entries)):
        _refuse(~np.isfinite(column), f"{name} is missing or not finite", "leave them out first")
    _refuse(exits < 0, "time is negative", "check time zero")
    _refuse(entries < 0, "entry is negative", "a row observed before time zero enters at 0")
    _refuse(
        (entries > 0) & (entries >= exits),
        "entry is at or after exit",
        "leave them out: nobody is at risk before being observed",
    )
    unknown = ~np.isin(codes_seen, np.asarray(codes, dtype=float))
    if unknown.any():
        raise DataError(
            f"event codes {name_some(sorted(set(codes_seen[unknown])))} are not declared; "
            f"declared are {', '.join(map(str, codes))}"
        )
    return Times(exits, codes_seen.astype(np.int64), entries)


def require_event(times: Times, cause: int = EVENT) -> None:
    """Refuses rows without a single event, which nothing can be fitted to.

    Raises:
        DataError: No row ended with the event.
    """
    if not (times.event == cause).any():
        ended = "are censored" if not times.competing else "are censored or had a competing event"
        raise DataError(f"all {len(times)} rows {ended}: there is no event to learn from")


def _refuse(wrong: np.ndarray, what: str, remedy: str) -> None:
    if wrong.any():
        rows = name_some([int(row) for row in np.flatnonzero(wrong)])
        raise DataError(f"{what} in {int(wrong.sum())} of {len(wrong)} rows ({rows}); {remedy}")
