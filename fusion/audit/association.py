"""How far one fact alone ranks patients by outcome, and how sure that is.

An association is suspicious where its AUROC is high and the lower bound of its interval, corrected
for the number of facts that were looked at, excludes what an honest fact could reach. Both are
needed: the first alone fires on small clean cohorts, the second alone on any true but weak effect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from featurestore.tables import Column, places
from fusion.audit.base import AuditSubject
from fusion.audit.subject_views import splits
from fusion.metrics.delong import delong

ALPHA = 0.05
"""Chance that a family of facts, none of which exceeds what is honest, yields any hit."""

MIN_PER_CLASS = 10
"""Known values needed in either class: with fewer, the interval of an AUROC means little
(Hanley & McNeil 1982: half width over 0.2)."""

PRIOR_PATIENTS = 5
"""Patients of average outcome that are added to each level before its rate is taken, so that a
level with one patient is no certainty (m-estimate; Micci-Barreca 2001)."""

_LINES = 256  # scores compared at once; their covariance is a square of this side


@dataclasses.dataclass(frozen=True)
class Association:
    """One fact against the outcome.

    Attributes:
        auroc: At least 0.5 where the direction of the fact is free.
        low: One-sided lower bound at level 1 - `ALPHA` / facts looked at.
        n: Patients with the fact.
        events: Those of them with the outcome.
    """

    auroc: float
    low: float
    n: int
    events: int

    def suspicious(self, auroc: float, honest: float) -> bool:
        """Whether it reaches `auroc` and its lower bound excludes `honest`."""
        return self.auroc >= auroc and self.low > honest

    def __str__(self) -> str:
        return (
            f"AUROC {self.auroc:.3f} (lower bound {self.low:.3f}, {self.n} {{patients}}, "
            f"{self.events} events)"
        )


def associate(
    y: np.ndarray, scores: np.ndarray, facts: int, free: bool = True
) -> list[Association | None]:
    """Compares scores with the outcome.

    The bound is DeLong's on the logit scale, which keeps it below 1 and is nearer to its level
    for high AUROCs (Pepe 2003, 5.2). Perfect separation has no variance; its bound is the one of
    Clopper & Pearson 1934 for as many trials as the rarer class has members.

    Args:
        y: Outcomes, 0 or 1. Shape (n,).
        scores: One line a fact, without missing values. Shape (k, n).
        facts: Number of facts that are looked at in all, for the correction (Bonferroni).
        free: Whether a low score may mean an event as well as a high one. Not so for scores that
            were fitted on other patients.

    Returns:
        One a line; None where either class has fewer than `MIN_PER_CLASS` members.
    """
    events = int(y.sum())
    rarer = min(events, len(y) - events)
    if rarer < MIN_PER_CLASS:
        return [None] * len(scores)
    alpha = ALPHA / max(facts, 1)
    found: list[Association | None] = []
    for start in range(0, len(scores), _LINES):
        compared = delong(y, scores[start : start + _LINES])
        for auroc, variance in zip(compared.auroc, np.diag(compared.covariance), strict=True):
            directed = max(auroc, 1 - auroc) if free else auroc
            low = _lower_bound(float(directed), float(variance), rarer, alpha)
            found.append(Association(float(directed), low, len(y), events))
    return found


def _lower_bound(auroc: float, variance: float, rarer: int, alpha: float) -> float:
    exact = alpha ** (1 / rarer)
    if not 0 < auroc < 1:
        return exact if auroc == 1 else 0.0
    spread = np.sqrt(variance) / (auroc * (1 - auroc))
    # Near 1 the variance itself is estimated from a few pairs: no bound beats that of perfection.
    return min(exact, float(expit(logit(auroc) - norm.ppf(1 - alpha) * spread)))


def column_score(
    column: Column, values: pd.Series, y: np.ndarray, tests: Sequence[np.ndarray]
) -> tuple[np.ndarray, bool]:
    """Numbers that rank patients as far as one column can.

    Args:
        column: What the column is.
        values: Known values. Length n.
        y: Outcomes. Shape (n,).
        tests: Test masks of the outer folds; levels without order are scored out of fold.

    Returns:
        The score of each patient, shape (n,), and whether its direction is free.
    """
    if column.kind == "nominal" and values.nunique() > 2:
        return level_rates(values, y, tests), False
    if column.kind == "nominal":
        return pd.factorize(values.astype(str), sort=True)[0].astype(float), True
    return column_numbers(column, values), True


def column_numbers(column: Column, values: pd.Series) -> np.ndarray:
    """Values of an ordered column as floats, NaN where missing; shape (n,)."""
    if column.kind == "ordinal":
        return values.map(places(column.levels)).to_numpy(float)
    return pd.to_numeric(values, errors="coerce").to_numpy(float)


def placed(column: Column, values: pd.Series) -> np.ndarray:
    """Mask of the values by which a column can rank; a level without a place ranks nobody."""
    if column.kind == "ordinal":
        return np.isfinite(column_numbers(column, values))
    return values.notna().to_numpy()


def level_rates(levels: pd.Series, y: np.ndarray, tests: Sequence[np.ndarray]) -> np.ndarray:
    """Rate of the outcome in each patient's level, counted in the other folds only.

    Args:
        levels: Level of each patient. Length n.
        y: Outcomes. Shape (n,).
        tests: Test masks of the folds; patients in none get the overall rate.

    Returns:
        Shape (n,). Without any association it ranks slightly wrongly, because a fold with many
        events leaves few to the others: such an AUROC errs below 0.5, never above.
    """
    codes = pd.factorize(levels.astype(str))[0]
    return code_rates(codes, y, tests)


def code_rates(codes: np.ndarray, y: np.ndarray, tests: Sequence[np.ndarray]) -> np.ndarray:
    """`level_rates` of levels that are numbered from 0 on; codes of shape (n,)."""
    score = np.full(len(y), y.mean())
    width = int(codes.max(initial=0)) + 1
    for test in tests:
        others, labels = codes[~test], y[~test]
        overall = labels.mean() if len(labels) else y.mean()
        events = np.bincount(others, weights=labels, minlength=width)
        rates = (events + PRIOR_PATIENTS * overall) / (
            np.bincount(others, minlength=width) + PRIOR_PATIENTS
        )
        score[test] = rates[codes[test]]
    return score


def quantile_codes(values: np.ndarray, bins: int) -> np.ndarray:
    """Numbers of about equally large intervals of the values; equal values share one.

    Args:
        values: Without missing values. Shape (n,).
        bins: Number of intervals at most.
    """
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return np.searchsorted(edges, values, side="right")


def level_association(
    subject: AuditSubject, patients: pd.DataFrame, levels: pd.Series, facts: int
) -> Association | None:
    """Association of a fact without order, out of fold.

    Args:
        subject: Has the folds.
        patients: `patient_id` and `outcome` of each row. Length n.
        levels: Level of each row. Length n.
        facts: Number of facts that are looked at in all.
    """
    y = patients["outcome"].to_numpy(float)
    score = level_rates(levels, y, splits(subject, patients["patient_id"]))
    return associate(y, score[None, :], facts, free=False)[0]
