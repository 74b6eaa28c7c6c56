"""Rules that read times to an event out of columns, and say why where there is none to read.

Times are days since time zero. A patient is under observation from `entry` to `time`, and a code
says what ended it: 0 censored, 1 the event, 2 a competing event that came first. A patient of whom
this cannot be said is left out, with the reason; nobody is guessed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.outcomes.base import KNOWN_REASON, NamedTexts, Outcome, Rule
from featurestore.outcomes.durations import DAYS_IN, TimeUnit, duration_words
from featurestore.outcomes.target import CENSORED, COMPETING, ENTRY, EVENT, TIME
from featurestore.tables import DataDictionary, known_text, parse_numbers

TIME_COLUMNS = (
    *("days_to_*", "*_days_to", "*_months", "*_time", "*.time", "*_days", "*follow*up*"),
    *("last_contact*", "os_*", "dss_*", "pfi_*", "pfs_*", "dfi_*", "dfs_*", "rfs_*"),
    *("vital_status", "tumour_status", "tumor_status", "new_tumor_event*", "cause_of_death"),
)
"""Patterns of columns that hold times or what ended them: denied wherever a time is predicted."""

LONGEST_YEARS = 120.0
"""No follow-up of a person is longer; a longer one is a mistake of the unit."""


@dataclasses.dataclass(frozen=True)
class TimesRule:
    """Times to an event out of columns of states and of times.

    Where both the event and the competing event are recorded and have times of their own, the
    earlier one counts; where the competing event has none, the event counts.

    Attributes:
        event: Says whether the event came.
        event_time: Column with the time of the event.
        censoring_time: Column with the time of last contact; may be the same.
        competing: Says whether an event came after which the event cannot come any more.
        competing_time: Column with its time; that of the last contact by default.
        entry: Column with the time from which the patient was under observation; from time zero by
            default.
        origin: Column with the time zero, in the clock of the others, which it is taken from; by
            default the others count from time zero.
        unit: Unit of all these columns.
    """

    event: Rule
    event_time: str
    censoring_time: str
    competing: Rule | None = None
    competing_time: str = ""
    entry: str = ""
    origin: str = ""
    unit: TimeUnit = "days"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of states, then of times."""
        states = (*self.event.columns, *(self.competing.columns if self.competing else ()))
        times = (self.event_time, self.censoring_time, self.competing_time, self.entry, self.origin)
        return tuple(dict.fromkeys((*states, *(name for name in times if name))))

    @property
    def reveals(self) -> tuple[str, ...]:
        """Patterns of columns that hold times."""
        return TIME_COLUMNS

    @property
    def named(self) -> dict[str, NamedTexts]:
        """Texts of the columns of states."""
        named = dict(self.event.named)
        for column, texts in (self.competing.named if self.competing else {}).items():
            named[column] = named[column].merged(texts) if column in named else texts
        return named

    def labels(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.Series:
        """Code of what ended each row's time; NaN where it is not known."""
        return self.known(table, dictionary, name)["outcome"]

    def known(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.DataFrame:
        """What is known of each row.

        Returns:
            `outcome`, `outcome_time`, `outcome_entry` (days) and `KNOWN_REASON`, which says why
            the others are missing and is empty where they are not.

        Raises:
            DataError: A state means nothing to the rule, a column of times holds texts, or a time
                is longer than a life.
        """
        event = self.event.labels(table, dictionary, name)
        none = pd.Series(0.0, table.index)
        other = none if self.competing is None else self.competing.labels(table, dictionary, name)
        times = {c: self._days(table, c, name) for c in self._time_columns}
        origin = times[self.origin] if self.origin else none
        first, last = (times[c] - origin for c in (self.event_time, self.censoring_time))
        passed = times[self.competing_time] - origin if self.competing_time else last
        came_first = (other == 1) & (event == 1) & (passed < first) & bool(self.competing_time)
        code = event.where(~((event == 0) & (other == 1)), COMPETING)
        code = code.mask(came_first, COMPETING)
        time = last.where(code != EVENT, first).where(code != COMPETING, passed)
        entry = times[self.entry] - origin if self.entry else none
        entry = entry.clip(lower=0.0)
        reason = pd.Series("", table.index, dtype="str")
        for holds, why in (
            (event.isna(), "whether the event came is not known"),
            ((event == 0) & other.isna(), "whether the competing event came is not known"),
            (origin.isna(), f"no {self.origin}, from which time would be counted"),
            ((code == EVENT) & time.isna(), f"event without time ({self.event_time})"),
            (
                (code == COMPETING) & time.isna(),
                f"competing event without time ({self.competing_time or self.censoring_time})",
            ),
            ((event == 0) & self._contradicted(first), f"time without event ({self.event_time})"),
            (
                (code == CENSORED) & time.isna(),
                f"no event and no time of last contact ({self.censoring_time})",
            ),
            (time < 0, "the time ends before time zero"),
            (time == 0, "the time ends at time zero"),
            (entry.isna(), f"no entry ({self.entry})"),
            (entry >= time, "observation begins at or after the end of the time"),
        ):
            reason = reason.mask((reason == "") & holds, why)
        out = reason != ""
        rows = pd.DataFrame({"outcome": code, TIME: time, ENTRY: entry}).astype(float).mask(out)
        return rows.assign(**{KNOWN_REASON: reason})

    def by_patient(self, rows: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
        """One row a patient out of rows of images; images that differ say nothing."""
        values = [c for c in rows.columns if c != KNOWN_REASON]
        people = rows.groupby(ids)
        merged = people.first()
        differ = (people[values].nunique(dropna=False) > 1).any(axis=1)
        merged[values] = merged[values].mask(differ)
        merged[KNOWN_REASON] = merged[KNOWN_REASON].mask(differ, "its images differ in the outcome")
        return merged

    @property
    def _time_columns(self) -> tuple[str, ...]:
        names = (self.event_time, self.censoring_time, self.competing_time, self.entry, self.origin)
        return tuple(dict.fromkeys(name for name in names if name))

    def _contradicted(self, first: pd.Series) -> pd.Series:
        """Where the event has a time of its own."""
        return first.notna() & (self.event_time != self.censoring_time)

    def _days(self, table: pd.DataFrame, column: str, name: str) -> pd.Series:
        values = table[column]
        where = f"outcome {name!r}: column {column!r}"
        if not pd.api.types.is_numeric_dtype(values):
            values = parse_numbers(
                known_text(values.astype("str"), guessed=True).values, where
            ).values
        days = values.astype(float) * DAYS_IN[self.unit]
        longest = days.abs().max()
        if longest > LONGEST_YEARS * DAYS_IN["years"]:
            raise DataError(
                f"{where} in {self.unit} makes times of up to {duration_words(longest)}, longer "
                f"than a life; state the unit of its numbers (cohort.outcome.unit)"
            )
        return days.round() if self.unit == "days" else days


@dataclasses.dataclass(frozen=True)
class WithinRule:
    """Whether the event came within a time, out of a rule of times.

    A patient is free of it who is known to have been free at that time, or in whom a competing
    event came before; one who was lost before is left out.

    Attributes:
        times: The rule of times; with late entry there is no such outcome.
        days: The time, in days since time zero.
    """

    times: TimesRule
    days: float

    def __post_init__(self) -> None:
        if self.times.entry:
            raise DataError(
                "an outcome within a time takes no late entry: who had the event before entry is "
                "not in the data, and its share would be too small; predict the time instead"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the times."""
        return self.times.columns

    @property
    def reveals(self) -> tuple[str, ...]:
        """Patterns of columns that hold times."""
        return self.times.reveals

    @property
    def named(self) -> dict[str, NamedTexts]:
        """Texts of the columns of states."""
        return self.times.named

    def labels(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.Series:
        """Label of each row: 0.0, 1.0 or NaN."""
        return self.known(table, dictionary, name)["outcome"]

    def known(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.DataFrame:
        """The label, and why there is none."""
        rows = self.times.known(table, dictionary, name)
        code, time = rows["outcome"], rows[TIME]
        label = ((code == EVENT) & (time <= self.days)).astype(float)
        lost = (code == CENSORED) & (time < self.days)
        reason = rows[KNOWN_REASON].mask(
            lost, f"followed for less than {duration_words(self.days)}"
        )
        return pd.DataFrame({"outcome": label.mask(reason != ""), KNOWN_REASON: reason})

    def by_patient(self, rows: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
        """One row a patient out of rows of images; images that differ say nothing."""
        return self.times.by_patient(rows, ids)


def within(outcome: Outcome, days: float) -> Outcome:
    """The yes-or-no outcome that asks whether the event of a time came within `days`.

    Raises:
        DataError: It has no times, or takes late entry into account.
    """
    if not isinstance(outcome.rule, TimesRule):
        raise DataError(
            f"outcome {outcome.name!r} has no times, so nothing can be asked within one"
        )
    words = duration_words(days)
    rule = outcome.rule
    competes = " or in whom a competing event came first" if rule.competing else ""
    return dataclasses.replace(
        outcome,
        name=f"{outcome.name}_within_{words.replace(' ', '_')}",
        definition=f"The event came within {words}. {outcome.definition}",
        rule=WithinRule(rule, days),
        caveats=(
            f"Without the event are those known to have been free of it at {words}{competes}; who "
            "was lost before is left out and counted.",
            *outcome.caveats,
        ),
        kind="binary",
        horizons=(),
    )
