"""Columns that are rates of the outcome: they agree with it better than any knowledge could.

Whoever replaces a level (surgeon, ward, postcode) by the rate of the outcome among its patients
puts each patient's own outcome into the column. Its AUROC may be modest. But an honest column knows
chances, not outcomes: the events among patients of one value then scatter around their chance as
coins do. Those of a rate do not scatter at all, and that is what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import expit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from featurestore.tables import Column
from fusion.audit.association import associate, column_numbers
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import persons, used_columns

SMALLEST = 8
"""Patients of neighbouring values that are counted together at least."""

FEWEST = 6
"""Groups of patients that are needed to judge their scatter."""

CHANCE = 1e-6
"""Probability of scatter so small, over all columns, below which it is none."""

ASSOCIATED = 0.55
"""AUROC that a column needs: one that matched patients were chosen by scatters little as well."""

STEADY = 1 / 6
"""Share of the median wander of simulated outcomes that the column's own stays below: 1 of 100,000
honest columns does (simulated for 640 patients and a chance that rises along a line)."""

LONGEST = 20
"""Distinct groups that a column needs before its wander is judged."""

SIMULATIONS = 200


def too_steady(values: np.ndarray, y: np.ndarray, tried: int, seed: int) -> bool:
    """Whether events scatter less around a smooth function of the values than coins would.

    Two ways to see it: Pearson's statistic over groups of equal or neighbouring values against the
    lower tail of its distribution (McCullagh & Nelder 1989, 4.5), and the wander of the running sum
    of residuals in order of the values against that of simulated outcomes.

    Args:
        values: Without missing values. Shape (n,).
        y: Outcomes. Shape (n,).
        tried: Number of columns that are tried, for the correction (Bonferroni).
        seed: Seed of the simulation.
    """
    order = np.argsort(values, kind="stable")
    x, labels = values[order], y[order]
    equal = _pooled(np.flatnonzero(np.append(np.diff(x) > 0, True)))
    for chance in (_line(x, labels), _logistic(x, labels)):
        for ends in (equal, _clusters(x)):
            if _pearson(labels, chance, ends) < CHANCE / (4 * max(tried, 1)):
                return True
        if len(equal) >= LONGEST and _wanders_little(x, labels, chance, seed):
            return True
    return False


def _pooled(last: np.ndarray) -> np.ndarray:
    """Last places of groups that are large enough, the last of the small ones before included."""
    kept, start = [], -1
    for end in last:
        if end - start >= SMALLEST:
            kept.append(end)
            start = end
    if kept and kept[-1] != last[-1]:
        kept[-1] = last[-1]
    return np.array(kept, dtype=int)


def _clusters(x: np.ndarray) -> np.ndarray:
    """Last places of groups of sorted values with the widest gaps between them."""
    gaps = np.diff(x)
    widest = np.sort(np.argsort(-gaps, kind="stable")[: len(x) // SMALLEST])
    return _pooled(np.append(widest, len(x) - 1))


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    spread = float(np.var(x))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread else 0.0
    return np.clip(y.mean() + slope * (x - x.mean()), 0.01, 0.99)


def _logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    z = ((x - x.mean()) / (x.std() or 1.0))[:, None]
    return expit(LogisticRegression(C=1e4, max_iter=200).fit(z, y).decision_function(z))


def _pearson(y: np.ndarray, chance: np.ndarray, ends: np.ndarray) -> float:
    """Probability of groups that scatter as little; 1 with too few of them."""
    if len(ends) < FEWEST:
        return 1.0
    sums = [np.diff(np.append(0, np.cumsum(v)[ends])) for v in (y, chance, chance * (1 - chance))]
    events, expected, variance = sums
    statistic = float(((events - expected) ** 2 / variance).sum())
    return float(chi2.cdf(statistic, len(ends) - 2))


def _wander(residuals: np.ndarray) -> np.ndarray:
    """Mean square of the running sum; residuals of shape (..., n)."""
    return np.asarray((np.cumsum(residuals, axis=-1) ** 2).mean(axis=-1))


def _wanders_little(x: np.ndarray, y: np.ndarray, chance: np.ndarray, seed: int) -> bool:
    # Within equal values the order is of no meaning: each has the rate of all of them.
    _, tie = np.unique(x, return_inverse=True)
    size = np.bincount(tie)
    observed = float(_wander((np.bincount(tie, weights=y) / size)[tie] - chance))
    rng = np.random.default_rng(seed)
    drawn = (rng.random((SIMULATIONS, len(x))) < chance).astype(float)
    design = np.column_stack([np.ones(len(x)), x])
    residuals = drawn - chance
    # A line through what was drawn takes its share of the wander, as the fit did from the outcomes.
    fitted = residuals @ np.linalg.pinv(design).T @ design.T
    ties = np.stack([(np.bincount(tie, weights=line) / size)[tie] for line in residuals - fitted])
    simulated = _wander(ties)
    return bool(observed < STEADY * np.median(simulated) and observed < simulated.min())


def _rates(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    labels = people["outcome"].to_numpy(float)
    columns = _ordered(subject)
    for column in columns:
        numbers = column_numbers(column, people[column.name])
        known = np.isfinite(numbers)
        y, x = labels[known], numbers[known]
        if len(np.unique(x)) < FEWEST:
            continue
        found = associate(y, x[None, :], len(columns))[0]
        if found is None or not found.suspicious(ASSOCIATED, 0.5):
            continue
        if too_steady(x, y, len(columns), subject.seed):
            yield Hit(
                f"Column {column.name} knows outcomes, not chances: events among {{patients}} with "
                f"neighbouring values scatter less than coins would; {found}.",
                (column.name,),
                found.auroc,
            )


def _ordered(subject: AuditSubject) -> list[Column]:
    return [c for c in used_columns(subject) if c.kind in ("numeric", "ordinal")]


def _applies(subject: AuditSubject) -> str:
    return "" if _ordered(subject) else "no arm sees a column with an order"


CHECKS = (
    Check(
        "level_rates",
        "Column made from rates of the outcome",
        "Scatter of the events around a smooth function of each ordered column, against that of "
        "independent outcomes with the same chances; fires where less would have a probability "
        f"below {CHANCE:g}, or where the running sum wanders less than {STEADY:g} of what it "
        "should, in columns that are associated with the outcome.",
        "invalidates",
        "Rates by level must be counted on the training {patients} of each fold: leave the column "
        "out, and the level itself in.",
        _rates,
        _applies,
    ),
)
