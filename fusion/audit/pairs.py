"""Pairs of columns that say nothing apart and much together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import logit

from featurestore.tables import Column
from fusion.audit.association import associate, code_rates, column_numbers, quantile_codes
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import persons, splits, used_columns
from fusion.audit.univariate import severity_of

SUSPICIOUS = 0.75
"""AUROC of the pair from which on it is reported."""

HONEST = 0.65
"""AUROC that the interval must exclude."""

GAIN = 0.1
"""AUROC that must be gained over the sum of both."""

BINS = 4
"""Intervals of a number; the pair then has 16 cells and those of missing values."""

MOST_LEVELS = 8
"""Levels of a nominal column; the rarer ones are one."""

MOST_COLUMNS = 100
"""Columns of which every pair is looked at."""


def _codes(column: Column, values: pd.Series) -> np.ndarray:
    """Few levels of a column, 0 where missing; shape (n,)."""
    codes = np.zeros(len(values), dtype=int)
    known = values.notna().to_numpy()
    if not known.any():
        return codes
    if column.kind == "nominal":
        found, levels = pd.factorize(values[known].astype(str), sort=True)
        order = np.argsort(np.argsort(-np.bincount(found, minlength=len(levels)), kind="stable"))
        codes[known] = 1 + np.minimum(order[found], MOST_LEVELS - 1)
        return codes
    numbers = column_numbers(column, values)
    known = np.isfinite(numbers)
    codes[known] = 1 + quantile_codes(numbers[known], BINS)
    if len(np.unique(numbers[known])) <= BINS:
        codes[known] = 1 + np.unique(numbers[known], return_inverse=True)[1]
    return codes


def _pairs(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    tests = splits(subject, people["patient_id"])
    columns = _facts(subject)
    codes = {c.name: _codes(c, people[c.name]) for c in columns}
    alone = {name: code_rates(code, y, tests) for name, code in codes.items()}
    pairs = list(itertools.combinations(codes, 2))
    scores = (
        code_rates(codes[a] * (int(codes[b].max()) + 1) + codes[b], y, tests) for a, b in pairs
    )
    for (a, b), score in zip(pairs, scores, strict=True):
        found = associate(y, score[None, :], len(pairs), free=False)[0]
        if found is None or not found.suspicious(SUSPICIOUS, HONEST):
            continue
        both = logit(np.clip([alone[a], alone[b]], 1e-6, 1 - 1e-6))
        sums = associate(y, np.stack([both.sum(axis=0), *both]), 1, free=False)
        apart = max(s.auroc for s in sums if s is not None)
        if found.auroc >= apart + GAIN:
            yield Hit(
                f"Columns {a} and {b} together, not apart (AUROC {apart:.3f}), rank {{patients}} "
                f"out of fold with {found}.",
                (a, b),
                found.auroc,
                severity_of(found),
            )


def _facts(subject: AuditSubject) -> list[Column]:
    return [c for c in used_columns(subject) if c.kind != "expression"][:MOST_COLUMNS]


def _applies(subject: AuditSubject) -> str:
    return "" if len(_facts(subject)) > 1 else "no arm sees two {patient} columns"


CHECKS = (
    Check(
        "pair_auc",
        "Two columns predict the outcome together",
        f"AUROC of the rate of the outcome, counted in other folds, in cells of every pair of the "
        f"first {MOST_COLUMNS} columns that are no expression; reported from {SUSPICIOUS} on if "
        f"its corrected interval excludes {HONEST} and it gains {GAIN} on the sum of both.",
        "warning",
        "Ask what makes the pair: an outcome that is hidden in two columns was put there.",
        _pairs,
        _applies,
    ),
)
