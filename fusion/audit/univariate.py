"""What one column, or the absence of its values, says of the outcome alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from featurestore.errors import name_some
from featurestore.tables import Column
from fusion.audit.association import Association, associate, column_score, placed
from fusion.audit.base import AuditSubject, Check, Hit, Severity
from fusion.audit.ceilings import INVALID
from fusion.audit.subject_views import (
    needs_columns,
    persons,
    splits,
    used_columns,
    with_images,
)

SUSPICIOUS = 0.85
"""AUROC of one column from which on it is reported."""

HONEST = 0.75
"""AUROC that no interval of a reported column may include. Six-variable nomograms of sentinel-node
status reach 0.74 to 0.75 on thousands of patients (Lo et al. 2020): one column that is surely
better than the best of them together is no ordinary predictor."""

DECISIVE = INVALID
"""AUROC from which on a column, surely above `SUSPICIOUS`, leaves nothing to be predicted."""


def _columns(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    for column, found in _associations(people, used_columns(subject), subject):
        if found.suspicious(SUSPICIOUS, HONEST):
            yield Hit(
                f"Column {column.name} alone ranks {{patients}} with {found}.",
                (column.name,),
                found.auroc,
                severity_of(found),
            )


def severity_of(found: Association) -> Severity:
    """How grave the association of one fact is that is suspicious."""
    return "invalidates" if found.suspicious(DECISIVE, SUSPICIOUS) else "warning"


def _associations(
    people: pd.DataFrame, columns: list[Column], subject: AuditSubject
) -> list[tuple[Column, Association]]:
    """Association of each column with enough known values, the strongest first."""
    y = people["outcome"].to_numpy(float)
    tests = splits(subject, people["patient_id"])
    batches: dict[tuple[bytes, bool], list[tuple[Column, np.ndarray]]] = {}
    for column in columns:
        known = placed(column, people[column.name])
        if people[column.name].nunique() < 2:
            continue
        score, free = column_score(
            column, people.loc[known, column.name], y[known], [test[known] for test in tests]
        )
        batches.setdefault((known.tobytes(), free), []).append((column, score))
    found = []
    for (mask, free), members in batches.items():  # compared together: thousands of genes
        labels = y[np.frombuffer(mask, dtype=bool)]
        results = associate(labels, np.stack([s for _, s in members]), len(columns), free)
        pairs = zip((column for column, _ in members), results, strict=True)
        found += [(column, result) for column, result in pairs if result is not None]
    return sorted(found, key=lambda pair: (-pair[1].auroc, pair[0].name))


def _missing(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    patterns = _patterns(people, used_columns(subject), subject)
    if not patterns:
        return
    lines = np.stack([np.frombuffer(mask, dtype=bool).astype(float) for mask in patterns])
    results = associate(y, lines, len(patterns))
    for (mask, names), found in zip(patterns.items(), results, strict=True):
        if found is None or not found.suspicious(SUSPICIOUS, HONEST):
            continue
        known = np.frombuffer(mask, dtype=bool)
        shares = ", ".join(
            f"{known[y == label].mean():.0%} of those {words}"
            for label, words in ((1.0, "with the outcome"), (0.0, "without"))
        )
        yield Hit(
            f"Whether {name_some(names)} is known says who has the outcome: it is for {shares}; "
            f"{found}.",
            tuple(names),
            found.auroc,
            severity_of(found),
        )


def _patterns(
    people: pd.DataFrame, columns: list[Column], subject: AuditSubject
) -> dict[bytes, list[str]]:
    """Names of what is known for the same patients, by the mask of those."""
    known = {c.name: people[c.name].notna().to_numpy() for c in columns}
    known |= with_images(subject, people)
    patterns: dict[bytes, list[str]] = {}
    for name, mask in known.items():
        if mask.any() and not mask.all():
            patterns.setdefault(mask.tobytes(), []).append(name)
    return patterns


def _missing_applies(subject: AuditSubject) -> str:
    if _patterns(persons(subject), used_columns(subject), subject):
        return ""
    return "no value that models see is missing"


CHECKS = (
    Check(
        "univariate_auc",
        "One column predicts the outcome",
        f"AUROC of each column that models see, in either direction; reported from {SUSPICIOUS} "
        f"on if its interval, corrected for the number of columns, excludes {HONEST}.",
        "warning",
        "Ask how and when the column was recorded; withhold it if the outcome was known by then.",
        _columns,
        needs_columns,
    ),
    Check(
        "missingness_auc",
        "Missing values predict the outcome",
        f"AUROC of whether a value is known; reported from {SUSPICIOUS} on if its interval, "
        f"corrected for the number of patterns, excludes {HONEST}.",
        "warning",
        "Values are recorded for some outcomes only: withhold the columns, or restrict the cohort "
        "to {patients} for whom they had to be recorded.",
        _missing,
        _missing_applies,
    ),
)
