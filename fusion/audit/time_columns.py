"""Columns that models see and that hold, or count, what is predicted: time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from scipy.stats import spearmanr

from featurestore.tables import Column
from fusion.audit.association import column_numbers
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import follow_up_of, used_columns

BY_NAME = re.compile(
    r"(?:^|_)(?:days|weeks|months|years|time)_(?:to|until|since|of_follow)"
    r"|(?:^|_)(?:os|dss|pfs|pfi|dfs|dfi|rfs|survival|follow_?up)_(?:days|months|years|time)"
    r"|_(?:months|days)$|(?:number|count|n)_(?:of_)?(?:follow_?ups?|visits?|contacts?)"
    r"|(?:follow_?ups?|visits?|contacts?)_(?:number|count|n)(?:$|_)"
)
"""Names of columns that hold times or count visits."""

ALIKE = 0.9
"""Rank correlation with the time under observation from which on a column is it, in other words. No
baseline fact of a patient comes near: the true risk has about 0.6 with the times of
events of a Weibull model with a standard deviation of 1 of its log hazard ratio."""

FEWEST = 20
"""Patients, and among them events, whose value must be known."""


def _by_name(column: Column) -> bool:
    names = (column.name, column.source_column)
    return any(BY_NAME.search(re.sub(r"[^a-z0-9]+", "_", name.casefold())) for name in names)


def _columns(subject: AuditSubject) -> Iterator[Hit]:
    people, times = follow_up_of(subject)
    for column in used_columns(subject):
        if column.kind == "expression":
            continue
        alike = 0.0
        if column.kind in ("numeric", "ordinal"):
            numbers = column_numbers(column, people[column.name])
            alike = _alike(numbers, times.time, times.event)
        if alike >= ALIKE:
            yield Hit(
                f"Column {column.name} goes with the time under observation (rank correlation "
                f"{alike:.2f}): it is the outcome in other words.",
                (column.name,),
                alike,
                "invalidates",
            )
        elif _by_name(column):
            yield Hit(
                f"Column {column.name} sounds like a time or a count of visits, which grow with "
                "follow-up.",
                (column.name,),
            )


def _alike(numbers: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """The larger rank correlation of a column with time: of all, and of those with an event."""
    known, found = np.isfinite(numbers), [0.0]
    for part in (known, known & (event == 1)):
        if part.sum() >= FEWEST and np.ptp(numbers[part]) > 0:
            found.append(abs(float(spearmanr(numbers[part], time[part]).statistic)))
    return max(found)


def _applies(subject: AuditSubject) -> str:
    return "" if used_columns(subject) else "no arm sees a patient column"


CHECKS = (
    Check(
        "time_columns",
        "Column that holds the time",
        "Names of columns that models see, for times and counts of visits; and their rank "
        f"correlation with the time under observation, from {ALIKE} on of all patients or of those "
        "with the event.",
        "warning",
        "Withhold the column with the outcome's deny-list, or say in its mapping when it is "
        "measured.",
        _columns,
        _applies,
        kind="time_to_event",
    ),
)
