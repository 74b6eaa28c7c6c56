"""What columns give away by what they are: copies of the outcome, late and denied columns."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from featurestore.errors import name_some
from featurestore.tables import Column, known_later
from fusion.audit.association import column_numbers
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.determination import (
    CHANCE,
    by_levels,
    by_threshold,
    chance_of_levels,
    chance_of_threshold,
    determining_pairs,
    level_codes,
    separating_columns,
)
from fusion.audit.subject_views import needs_columns, persons, used_columns, used_encoders

LATER = re.compile(
    r" (follow ?ups?|fu|visits?|recurrences?|recurred|relapsed?|progress(?:ion|ed)|deaths?|dead"
    r"|died|deceased|vital status|alive|surviv(?:al|ed)|os|dss|pfs|rfs|dfs|last contact|last seen"
    r"|(?:days|months|years|time) to|since surgery|new tumou?r|subsequent|salvage|palliative"
    r"|(?:treatment|therapy|best|overall) response|response to (?:treatment|therapy)) "
)
"""Words of columns that are filled in after diagnosis."""

MOST_TOGETHER = 40
"""Columns of one group that are tried together; wider groups are profiles, not facts."""


def _copies(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    columns = used_columns(subject)
    alone: set[str] = set()
    for column in columns:
        text = _determines(column, people[column.name], y, len(columns))
        if text:
            alone.add(column.name)
            yield Hit(text, (column.name,))
    facts = [c for c in columns if c.kind != "expression"]
    together: set[str] = set()
    for first, second, n in determining_pairs(facts, people, y, alone):
        together |= {first, second}
        yield Hit(
            f"Columns {first} and {second} together determine the outcome of all {n} {{patients}} "
            "who have both.",
            (first, second),
        )
    for group in dict.fromkeys(c.group for c in facts):
        rest = [c for c in facts if c.group == group and c.name not in alone | together]
        if not 2 <= len(rest) <= MOST_TOGETHER:
            continue
        names, n = separating_columns(rest, people, y)
        if names:
            yield Hit(
                f"A weighted sum of the columns {', '.join(names)} separates all {n} {{patients}} "
                "who have them by outcome.",
                names,
            )


def _determines(column: Column, values: pd.Series, y: np.ndarray, tried: int) -> str:
    """How a column alone determines the outcome, beyond chance; empty if it does not."""
    known = values.notna().to_numpy()
    labels, present = y[known], values[known]
    if len(np.unique(labels)) < 2:
        return ""
    rest = f"the outcome of all {len(labels)} {{patients}} who have it"
    if column.kind != "nominal":
        numbers = column_numbers(column, present)
        separated = np.isfinite(numbers).all() and by_threshold(labels, numbers)
        if separated and present.nunique() > 2:
            if chance_of_threshold(labels, tried) >= CHANCE:
                return ""
            cut = (numbers[labels == 1].min(), numbers[labels == 0].max())
            return f"Column {column.name}, cut between {min(cut):g} and {max(cut):g}, is {rest}."
    codes = level_codes(column, present)
    if codes is None or not by_levels(labels, codes):
        return ""
    levels = int(codes.max()) + 1
    if chance_of_levels(labels, levels, tried) >= CHANCE:
        return ""
    if levels == 2:
        return f"Column {column.name} equals {rest}, up to coding."
    return f"Each of the {levels} levels of column {column.name} has one outcome only: {rest}."


def _late(subject: AuditSubject) -> Iterator[Hit]:
    outcome = subject.cohort.outcome
    columns = used_columns(subject)
    for column in columns:
        if known_later(column.measured, outcome.as_of_time):
            yield Hit(
                f"Column {column.name} becomes known at {_when(column.measured)}, later than "
                f"{_when(outcome.as_of_time)}, as of which {outcome.name} is predicted.",
                (column.name,),
            )
    for name in used_encoders(subject):
        measured = subject.cohort.measured_of(name)
        if known_later(measured, outcome.as_of_time):
            yield Hit(
                f"Embeddings {name} show what is taken at {_when(measured)}, later than "
                f"{_when(outcome.as_of_time)}, as of which {outcome.name} is predicted.",
                (name,),
            )
    unknown = tuple(c.name for c in columns if c.measured == "unknown" and c.kind != "expression")
    if unknown:
        yield Hit(
            f"It is not stated when {len(unknown)} columns that models see become known: "
            f"{name_some(unknown, 8)}.",
            unknown,
            float(len(unknown)),
            "note",
        )


def _by_name(subject: AuditSubject) -> Iterator[Hit]:
    for column in used_columns(subject):
        if column.measured != "unknown" or column.kind == "expression":
            continue
        texts = (column.name, column.label, column.source_column)
        found = next((m for text in texts if (m := LATER.search(_words_of(text)))), None)
        if found is not None:
            yield Hit(
                f"Column {column.name} is not said to be known in time, and its name speaks of "
                f"what comes later ({found.group().strip()}).",
                (column.name,),
            )


def _words_of(name: str) -> str:
    """The words of a name, apart by blanks."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return f" {re.sub(r'[^A-Za-z0-9]+', ' ', apart).casefold()} "


def _when(measured: str) -> str:
    return measured.replace("_", "-")


def _late_applies(subject: AuditSubject) -> str:
    times = {subject.cohort.measured_of(name) for name in used_encoders(subject)}
    if not times - {"unknown"} and (reason := needs_columns(subject)):
        return reason
    if subject.cohort.outcome.as_of_time == "unknown":
        return f"the outcome {subject.cohort.outcome.name} states no as-of time to compare with"
    return ""


def _denied(subject: AuditSubject) -> Iterator[Hit]:
    outcome = subject.cohort.outcome
    used = [c.name for c in used_columns(subject)]
    for name in outcome.denied(used):
        why = "is the label itself" if name in outcome.rule.columns else "is on its deny-list"
        yield Hit(
            f"Models see column {name}, though it {why} for outcome {outcome.name} "
            "(cohort.use_anyway).",
            (name,),
        )


CHECKS = (
    Check(
        "outcome_copy",
        "Column made from the outcome",
        "Whether a column that models see, a pair of them, or a weighted sum of the columns of "
        f"one group determines the outcome, with a probability by chance below {CHANCE:g}.",
        "invalidates",
        "Find out how the column came about; withhold it with the outcome's deny-list.",
        _copies,
        needs_columns,
    ),
    Check(
        "measured_after",
        "Predictor known too late",
        "When each column and encoder that models see becomes known, against the time as of which "
        "the outcome is predicted.",
        "invalidates",
        "Take the column out of cohort.use_anyway, correct `measured` in its mapping, or predict "
        "as of a later time (of times: cohort.outcome.entry or origin).",
        _late,
        _late_applies,
    ),
    Check(
        "later_by_name",
        "Column that sounds later",
        "Names, labels and source names of columns whose time is not stated, for words of "
        "follow-up, recurrence, death, survival and response.",
        "warning",
        "State in its mapping when the column is measured, or put it on the outcome's deny-list.",
        _by_name,
        needs_columns,
    ),
    Check(
        "deny_listed",
        "Deny-listed column used",
        "Columns that models see, against the label columns and the deny-list of the outcome.",
        "invalidates",
        "Take the column out of cohort.use_anyway.",
        _denied,
        needs_columns,
    ),
)
