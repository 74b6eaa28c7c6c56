"""Predictors that came too late: after the event, or after days on which nobody could be lost.

A value that became known on some day says nothing of who had the event by then, and whoever has it
was followed until then: those days are immortal (Suissa 2008, American Journal of Epidemiology
167:492; van Walraven et al. 2004, Journal of Clinical Epidemiology 57:672).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from featurestore.errors import name_some
from featurestore.outcomes import ENTRY, EVENT, TIME
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import used_columns, used_encoders

SMALL = 0.02
"""Share of all days under observation that are immortal, below which they are a note: a diagnosis
and its operation lie some weeks apart."""

NAMED = 5
ADVICE = (
    "Let patients enter on that day (cohort.outcome.entry) or count time from it "
    "(cohort.outcome.origin); `melafuse ladder time` shows what that makes of the numbers."
)


@dataclasses.dataclass(frozen=True)
class _Dated:
    """Predictors of one day; arrays over all patients, on the clock of the outcome.

    Attributes:
        names: What models see that became known then.
        column: Column with the day.
        day: NaN where it is not recorded.
        time: End of observation.
        entry: Its beginning.
        event: Whether the event ended it.
        ids: Patients.
    """

    names: tuple[str, ...]
    column: str
    day: np.ndarray
    time: np.ndarray
    entry: np.ndarray
    event: np.ndarray
    ids: np.ndarray

    @property
    def words(self) -> str:
        return f"{name_some(self.names, NAMED)} became known ({self.column})"


def _dated(subject: AuditSubject) -> list[_Dated]:
    cohort = subject.cohort
    patients = cohort.patients.sort_values("patient_id")
    by_day: dict[str, list[str]] = {}
    for name in used_encoders(subject):
        column = cohort.known_on.get(cohort.measured_of(name), "")
        by_day.setdefault(column, []).append(name)
    for one in used_columns(subject):
        by_day.setdefault(one.known_on, []).append(one.name)
    by_day.pop("", None)
    ids = patients["patient_id"].astype("str").to_numpy(dtype=object)
    time, entry = (patients[c].to_numpy(dtype=float) for c in (TIME, ENTRY))
    event = (patients["outcome"] == EVENT).to_numpy()
    days = {column: cohort.day_on_clock(column) for column in by_day}
    return [
        _Dated(
            tuple(names),
            column,
            days[column].loc[list(ids)].to_numpy(dtype=float),
            time,
            entry,
            event,
            ids,
        )
        for column, names in sorted(by_day.items())
    ]


def _before(subject: AuditSubject) -> Iterator[Hit]:
    for found in _dated(subject):
        wrong = found.event & (found.time <= found.day)
        if wrong.any():
            earlier = int((found.time < found.day)[wrong].sum())
            yield Hit(
                f"{wrong.sum()} of {found.event.sum()} events came on or before the day on which "
                f"{found.words}, {earlier} of them before it: what is known only then does not "
                f"predict them ({name_some(list(found.ids[wrong]), NAMED)}).",
                (found.column,),
                float(wrong.sum()),
            )


def _immortal(subject: AuditSubject) -> Iterator[Hit]:
    for found in _dated(subject):
        waited = (found.day > found.entry) & (found.day < found.time)
        if not waited.any():
            continue
        days = found.day[waited] - found.entry[waited]
        share = float(days.sum() / (found.time - found.entry).sum())
        unknown = int(np.isnan(found.day).sum())
        rest = f"; of {unknown} the day is not recorded" if unknown else ""
        yield Hit(
            f"{waited.sum()} of {len(found.time)} patients were at risk before the day on which "
            f"{found.words}, and could not have been lost until then: {share:.0%} of all days "
            f"under observation, a median of {np.median(days):.0f} days each{rest}.",
            (found.column,),
            share,
            "note" if share < SMALL else None,
        )


def _after(subject: AuditSubject) -> Iterator[Hit]:
    for found in _dated(subject):
        wrong = ~found.event & (found.time < found.day)
        if wrong.any():
            yield Hit(
                f"{wrong.sum()} patients were lost from view, or had a competing event, before the "
                f"day on which {found.words}: one of the two days is wrong "
                f"({name_some(list(found.ids[wrong]), NAMED)}).",
                (found.column,),
                float(wrong.sum()),
            )


def _applies(subject: AuditSubject) -> str:
    dated = _dated(subject)
    if not dated:
        return "of nothing that models see the data have the day"
    return "" if any(np.isfinite(found.day).any() for found in dated) else "no day is recorded"


CHECKS = (
    Check(
        "event_before_predictor",
        "Event before its predictor",
        "The day of each event against the day on which each column and encoder that models see "
        "became known, where the data have it.",
        "invalidates",
        ADVICE,
        _before,
        _applies,
        kind="time_to_event",
    ),
    Check(
        "immortal_time",
        "Immortal time",
        "Days between entry and the day on which a predictor became known, of patients who were "
        f"followed beyond it; a note below {SMALL:.0%} of all days under observation.",
        "invalidates",
        ADVICE,
        _immortal,
        _applies,
        kind="time_to_event",
    ),
    Check(
        "predictor_after_end",
        "Predictor after the end",
        "The day on which each predictor became known against the end of observation of those "
        "without the event.",
        "invalidates",
        "Correct the day, or the time of last contact.",
        _after,
        _applies,
        kind="time_to_event",
    ),
)
