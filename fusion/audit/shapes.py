"""Facts that rank patients in no simple order: far from the middle, by single values or digits.

A column is read as levels in several ways, each scored out of fold, so that a high AUROC cannot
come from the number of levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from featurestore.tables import Column
from fusion.audit.association import (
    MIN_PER_CLASS,
    Association,
    associate,
    code_rates,
    column_numbers,
    quantile_codes,
)
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import persons, splits, used_columns
from fusion.audit.univariate import severity_of

SUSPICIOUS = 0.75
"""AUROC without order from which on a column is reported. Lower than for one in order, because no
known predictor of the disease is best in the middle of its range."""

HONEST = 0.65
"""AUROC without order that the interval must exclude."""

GAIN = 0.1
"""AUROC that must be gained over the values in their order."""

BINS = 12
"""Intervals with about equally many patients; fewer where they would hold less than ten."""

FEWEST_A_LEVEL = 4
"""Patients that a level has on average, where each value is one."""

VIEWS = 4
"""Ways to read a column, for the correction."""


def _codes(column: Column, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Levels of a column in each way that can be read, by words for people."""
    n, distinct = len(numbers), len(np.unique(numbers))
    bins = min(BINS, n // 10)
    views: dict[str, np.ndarray] = {}
    if distinct > 3 and bins > 3:
        views["the interval that it falls into"] = quantile_codes(numbers, bins)
    if column.kind == "expression":
        return views
    if 3 < distinct <= n // FEWEST_A_LEVEL:
        views["its single values"] = np.unique(numbers, return_inverse=True)[1]
    if distinct > 10:
        cents = np.round(np.abs(numbers) * 100)
        for words, digits in (
            ("its decimals", cents % 100),
            ("its last digit before the point", np.floor(np.abs(numbers)) % 10),
        ):
            codes = np.unique(digits, return_inverse=True)[1]
            if 1 < codes.max() + 1 <= n // FEWEST_A_LEVEL and np.abs(numbers).max() < 1e12:
                views[words] = codes
    return views


def _in_order(y: np.ndarray, numbers: np.ndarray) -> float:
    found = associate(y, numbers[None, :], 1)[0]
    return found.auroc if found is not None else 1.0


def _best(
    column: Column, numbers: np.ndarray, y: np.ndarray, tests: Sequence[np.ndarray], facts: int
) -> tuple[str, Association] | None:
    """The way to read a column that ranks best, if it gains on the order of the values."""
    views = _codes(column, numbers)
    if not views or min(y.sum(), len(y) - y.sum()) < MIN_PER_CLASS:
        return None
    scores = np.stack([code_rates(codes, y, tests) for codes in views.values()])
    found = associate(y, scores, facts, free=False)
    known = [(words, f) for words, f in zip(views, found, strict=True) if f is not None]
    words, best = max(known, key=lambda pair: pair[1].auroc)
    if not best.suspicious(SUSPICIOUS, HONEST) or best.auroc < _in_order(y, numbers) + GAIN:
        return None
    return words, best


def _columns(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    labels = people["outcome"].to_numpy(float)
    tests = splits(subject, people["patient_id"])
    ordered = _ordered(subject)
    for column in ordered:
        numbers = column_numbers(column, people[column.name])
        known = np.isfinite(numbers)
        if not known.any():
            continue
        here = [test[known] for test in tests]
        best = _best(column, numbers[known], labels[known], here, VIEWS * len(ordered))
        if best is not None:
            words, found = best
            order = _in_order(labels[known], numbers[known])
            yield Hit(
                f"Column {column.name} alone, by {words} and not by its order (AUROC {order:.3f}), "
                f"ranks {{patients}} out of fold with {found}.",
                (column.name,),
                found.auroc,
                severity_of(found),
            )


def _ordered(subject: AuditSubject) -> list[Column]:
    return [c for c in used_columns(subject) if c.kind in ("numeric", "ordinal", "expression")]


def _applies(subject: AuditSubject) -> str:
    return "" if _ordered(subject) else "no arm sees a column with an order"


CHECKS = (
    Check(
        "non_monotone_auc",
        "One column predicts the outcome out of order",
        "AUROC of the rate of the outcome, counted in other folds, in intervals of each ordered "
        f"column, its single values, its decimals and its last digit; reported from {SUSPICIOUS} "
        f"on if its corrected interval excludes {HONEST} and it gains {GAIN} on the order.",
        "warning",
        "Ask how the column was made: values far from the middle, or single values, that mark "
        "events were written by who knew them.",
        _columns,
        _applies,
    ),
)
