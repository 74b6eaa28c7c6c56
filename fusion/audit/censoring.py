"""Whether who is lost from view can be told from the columns.

All weights for censoring take it that it says nothing of the risk. If columns that carry risk tell
who is censored early, the weights are wrong in one direction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import norm

from featurestore.errors import DataError
from featurestore.tables import Column
from fusion.audit.association import column_numbers
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import follow_up_of, splits, used_columns
from fusion.metrics import draw_weights
from fusion.metrics.survival import Times, cox_ridge, harrell_c

ABOVE_CHANCE = 0.60
"""Concordance of a model of censoring from which on it is reported: what moves weights by less
moves a metric by less than its interval."""

CHANCE = 1e-3
"""One-sided p of the concordance, beyond which it is none."""

DRAWS = 200
"""Bootstrap draws for the standard error of a concordance, which is all they are for."""

PENALTY = 10.0
"""Ridge penalty of the model of censoring, on scaled columns."""

MOST_LEVELS = 8
FEWEST = 30
"""Patients who were lost from view."""


def _lost(subject: AuditSubject) -> tuple[pd.DataFrame, Times]:
    """Persons and times that end with censoring as the event."""
    people, times = follow_up_of(subject)
    return people, Times(times.time, (times.event == 0).astype(np.int64), times.entry)


def _depends(subject: AuditSubject) -> Iterator[Hit]:
    people, lost = _lost(subject)
    names, features = _features(used_columns(subject), people)
    score = np.zeros(len(lost))
    fold = np.full(len(lost), -1)
    for number, test in enumerate(splits(subject, people["patient_id"])):
        try:
            fitted = cox_ridge(lost.take(~test), features[~test], PENALTY)
        except DataError:
            return
        score[test] = fitted.linear_predictor(features[test])
        fold[test] = number
    value = float(harrell_c(lost, score, strata=fold)[0])
    weights = draw_weights(people["patient_id"].to_numpy(), DRAWS, subject.seed)
    error = float(np.nanstd(harrell_c(lost, score, weights.astype(float), strata=fold)))
    p = float(norm.sf((value - 0.5) / error)) if error > 0 else 1.0
    if value >= ABOVE_CHANCE and p < CHANCE:
        alone = [
            (abs(float(harrell_c(lost, column)[0]) - 0.5), name)
            for name, column in zip(names, features.T, strict=True)
        ]
        strongest = ", ".join(name for _, name in sorted(alone, reverse=True)[:3])
        yield Hit(
            f"Columns tell who is lost from view: a model of censoring has a concordance of "
            f"{value:.3f} out of fold (p = {p:.1g}), most by {strongest}. Weights for censoring "
            "take it that it says nothing of the risk.",
            ("censoring",),
            value,
        )


def _features(columns: list[Column], people: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Scaled numbers of columns without expression; missing at the mean, with an indicator."""
    names, parts = [], []
    for column in columns:
        values = people[column.name]
        if column.kind == "expression" or values.nunique() < 1:
            continue
        if column.kind == "nominal":
            levels = values.value_counts().index[:MOST_LEVELS]
            found = {
                f"{column.name} {level}": (values == level).fillna(False).astype(float)
                for level in levels
            }
        else:
            numbers = pd.Series(column_numbers(column, values), index=people.index)
            found = {column.name: numbers.fillna(numbers.mean())}
        found[f"{column.name} missing"] = values.isna() * 1.0
        for name, numbers in found.items():
            scale = float(numbers.std())
            if scale > 0:
                names.append(name)
                parts.append(((numbers - numbers.mean()) / scale).to_numpy(dtype=float))
    return names, np.stack(parts, axis=1) if parts else np.empty((len(people), 0))


def _applies(subject: AuditSubject) -> str:
    if not [c for c in used_columns(subject) if c.kind != "expression"]:
        return "no arm sees a patient column"
    people, lost = _lost(subject)
    if (lost.event == 1).sum() < FEWEST:
        return f"fewer than {FEWEST} patients were lost from view"
    return "" if _features(used_columns(subject), people)[0] else "no column varies"


CHECKS = (
    Check(
        "informative_censoring",
        "Censoring that depends on columns",
        "Concordance of a Cox model of censoring on the columns that models see, out of fold; "
        f"reported from {ABOVE_CHANCE:g} on if chance would have a probability below {CHANCE:g}.",
        "warning",
        "Ask why patients were lost: by calendar time, hospital or stage. Report metrics within "
        "those, or up to a horizon before which few are lost.",
        _depends,
        _applies,
        kind="time_to_event",
    ),
)
