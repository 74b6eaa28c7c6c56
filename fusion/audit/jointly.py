"""What all columns, or the absence of their values, say of the outcome together.

Small models are fitted in each outer fold, without an embedding and before the ablation: what they
reach, any arm that sees the columns can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featurestore.errors import name_some
from featurestore.tables import Column
from fusion.audit.association import (
    MIN_PER_CLASS,
    Association,
    associate,
    code_rates,
    column_numbers,
    column_score,
    placed,
)
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.ceilings import CEILING, INVALID, ceiling, gravity
from fusion.audit.subject_views import persons, splits, used_columns, with_images

BELOW = 0.05
"""By how much the lower bound may be below what is not believed."""

MOST_COLUMNS = 300
MOST_LEVELS = 30
NAMED = 6
"""Columns that a hit names, those that rank best alone."""

MISSING_SUSPICIOUS = 0.75
MISSING_HONEST = 0.65
MISSING_GAIN = 0.05
"""AUROC that missing values must gain over the best one of them."""


def _null_error(y: np.ndarray) -> float:
    """Standard error of an AUROC without any association (Mann & Whitney 1947)."""
    events, others = float(y.sum()), float(len(y) - y.sum())
    return math.sqrt((events + others + 1) / (12 * events * others)) if events and others else 0.0


def _numbers(columns: Sequence[Column], people: pd.DataFrame) -> np.ndarray:
    """Columns as numbers, NaN where missing; nominal ones one column a level; shape (n, k)."""
    parts = []
    for column in columns:
        values = people[column.name]
        if column.kind != "nominal":
            parts.append(column_numbers(column, values)[:, None])
            continue
        common = values.value_counts().sort_index().nlargest(MOST_LEVELS).index
        found = np.stack([(values == level).to_numpy(float) for level in common], axis=1)
        found[values.isna().to_numpy()] = np.nan
        parts.append(found)
    x = np.concatenate(parts, axis=1)
    return x[:, [len(np.unique(line[np.isfinite(line)])) > 1 for line in x.T]]


def _fitted(x: np.ndarray, y: np.ndarray, tests: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Out-of-fold scores of a sum and of trees. Shape (2, n)."""
    from lightgbm import LGBMClassifier  # here, so that who reads an audit loads no trees

    scores = np.full((2, len(y)), y.mean())
    for test in tests:
        if not test.any() or len(np.unique(y[~test])) < 2:
            continue
        known = np.isfinite(x[~test]).any(axis=0)
        fit, score = x[~test][:, known], x[test][:, known]
        linear = make_pipeline(
            SimpleImputer(strategy="median"),
            StandardScaler(),
            LogisticRegression(C=0.1, max_iter=500),
        )
        trees = LGBMClassifier(
            n_estimators=60,
            num_leaves=12,
            n_jobs=1,
            random_state=seed,
            deterministic=True,
            force_row_wise=True,
            verbose=-1,
        )
        scores[0, test] = linear.fit(fit, y[~test]).decision_function(score)
        scores[1, test] = np.asarray(trees.fit(fit, y[~test]).predict_proba(score))[:, 1]
    return scores


def _joint(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    if min(y.sum(), len(y) - y.sum()) < MIN_PER_CLASS:
        return
    tests = splits(subject, people["patient_id"])
    columns = _facts(subject)
    scores = _fitted(_numbers(columns, people), y, tests, subject.seed)
    found = max((a for a in associate(y, scores, 2, free=False) if a), key=lambda a: a.auroc)
    limit, against = ceiling(subject, _null_error(y))
    if not found.suspicious(limit, limit - BELOW):
        return
    strongest = _strongest(columns, people, y, tests)
    yield Hit(
        f"{len(columns)} columns without images rank {{patients}} out of fold with {found}: "
        f"{against}. The strongest alone are {', '.join(f'{n} ({a:.3f})' for n, a in strongest)}.",
        tuple(name for name, _ in strongest),
        found.auroc,
        gravity(found.auroc),
    )


def _strongest(
    columns: Sequence[Column], people: pd.DataFrame, y: np.ndarray, tests: Sequence[np.ndarray]
) -> list[tuple[str, float]]:
    ranked = []
    for column in columns:
        known = placed(column, people[column.name])
        if people[column.name].nunique() < 2:
            continue
        here = [test[known] for test in tests]
        score, free = column_score(column, people.loc[known, column.name], y[known], here)
        found = associate(y[known], score[None, :], 1, free)[0]
        if found is not None:
            ranked.append((column.name, found.auroc))
    return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))[:NAMED]


def _facts(subject: AuditSubject) -> list[Column]:
    people = subject.cohort.patients
    found = [c for c in used_columns(subject) if c.kind != "expression"]
    return [c for c in found if people[c.name].nunique() > 1][:MOST_COLUMNS]


def _joint_applies(subject: AuditSubject) -> str:
    return "" if len(_facts(subject)) > 1 else "no arm sees two {patient} columns that vary"


def _known(subject: AuditSubject, people: pd.DataFrame) -> dict[str, np.ndarray]:
    """Whether each value is known, one name of those that are known for the same patients."""
    facts = {c.name: people[c.name].notna().to_numpy() for c in used_columns(subject)}
    distinct: dict[bytes, tuple[str, np.ndarray]] = {}
    for name, mask in (facts | with_images(subject, people)).items():
        if mask.any() and not mask.all():
            distinct.setdefault(mask.tobytes(), (name, mask))
    return dict(list(distinct.values())[:MOST_COLUMNS])


def _missing(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    if min(y.sum(), len(y) - y.sum()) < MIN_PER_CLASS:
        return
    tests = splits(subject, people["patient_id"])
    known = _known(subject, people)
    masks = np.stack(list(known.values())).astype(float)
    together = np.column_stack([*masks, masks.sum(axis=0)])
    patterns = np.unique(masks, axis=1, return_inverse=True)[1].ravel()
    lines = np.stack([_fitted(together, y, tests, subject.seed)[0], code_rates(patterns, y, tests)])
    found = [a for a in associate(y, lines, 2, free=False) if a is not None]
    best: Association = max(found, key=lambda a: a.auroc)
    alone = [a.auroc for a in associate(y, masks, 1) if a is not None]
    if (
        best.suspicious(MISSING_SUSPICIOUS, MISSING_HONEST)
        and best.auroc >= max(alone) + MISSING_GAIN
    ):
        yield Hit(
            f"Which of {name_some(list(known), NAMED)} are known ranks {{patients}} out of fold "
            f"with {best}; the best of them alone with {max(alone):.3f}.",
            tuple(known),
            best.auroc,
            gravity(best.auroc),
        )


def _missing_applies(subject: AuditSubject) -> str:
    enough = len(_known(subject, persons(subject))) > 1
    return "" if enough else "fewer than two values that models see are missing"


CHECKS = (
    Check(
        "joint_auc",
        "Columns together predict too well",
        "A weighted sum and boosted trees on all columns but expression, out of fold, against "
        f"{CEILING}, what published work supports for the outcome, or the best that a planted "
        f"model allows; reported if the interval excludes {BELOW} less; above {INVALID} it "
        "invalidates.",
        "warning",
        "Several columns that became known with the outcome add up: ask of each when it was "
        "recorded.",
        _joint,
        _joint_applies,
    ),
    Check(
        "joint_missingness_auc",
        "Missing values predict the outcome together",
        "A weighted sum of which values are known, and the rate of the outcome in {patients} with "
        f"the same ones known, out of fold; reported from {MISSING_SUSPICIOUS} on if the interval "
        f"excludes {MISSING_HONEST} and it gains {MISSING_GAIN} on the best value alone.",
        "warning",
        "Values are recorded for some outcomes only: withhold the columns, or restrict the cohort "
        "to {patients} for whom they had to be recorded.",
        _missing,
        _missing_applies,
    ),
)
