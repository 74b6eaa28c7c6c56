"""Whether columns determine the outcome, and whether that can be chance.

A column that is an id determines anything, and enough columns separate any two classes. So each
kind of determination comes with the number of labellings that it could have produced: divided by
the number of labellings with as many events, it bounds the probability of finding it by chance.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.special import gammaln, logsumexp

from featurestore.tables import Column
from fusion.audit.association import column_numbers

CHANCE = 1e-6
"""Probability of a determination by chance, over all that were tried, below which it is none.
Small, because a hit takes the meaning from a whole study."""

MOST_LEVELS = 32
"""A column with more distinct values is not read as levels: it would be an id."""


def by_threshold(y: np.ndarray, values: np.ndarray) -> bool:
    """Whether some threshold on the values separates the classes.

    Args:
        y: Outcomes, both classes. Shape (n,).
        values: Shape (n,), without missing values.
    """
    events, others = values[y == 1], values[y == 0]
    return bool(events.min() > others.max() or events.max() < others.min())


def by_levels(y: np.ndarray, codes: np.ndarray) -> bool:
    """Whether all patients of each level have one outcome; codes of shape (n,)."""
    rates = pd.Series(y).groupby(codes).mean()
    return bool(rates.isin([0.0, 1.0]).all())


def log_labellings(n: int, events: int) -> float:
    """Logarithm of the number of labellings of n patients with so many events."""
    return float(gammaln(n + 1) - gammaln(events + 1) - gammaln(n - events + 1))


def chance_of_levels(y: np.ndarray, levels: int, tried: int) -> float:
    """Bound of the probability that a column of so many levels determines random labels."""
    return _bounded(levels * np.log(2), y, tried)


def chance_of_threshold(y: np.ndarray, tried: int) -> float:
    """Bound of the probability that a threshold separates random labels."""
    return _bounded(np.log(2), y, tried)


def chance_of_plane(y: np.ndarray, dimensions: int, tried: int) -> float:
    """Bound of the probability that a plane separates random labels (Cover 1965, theorem 1)."""
    k = np.arange(min(dimensions, len(y) - 1) + 1)
    n = len(y) - 1
    terms = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return _bounded(float(np.log(2) + logsumexp(terms)), y, tried)


def _bounded(log_producible: float, y: np.ndarray, tried: int) -> float:
    log_p = log_producible - log_labellings(len(y), int(y.sum())) + np.log(max(tried, 1))
    return float(np.exp(min(log_p, 0.0)))


def level_codes(column: Column, values: pd.Series) -> np.ndarray | None:
    """Whole numbers that name the levels, -1 where missing; None with too many levels."""
    codes = pd.factorize(values)[0]
    return codes if 2 <= codes.max(initial=-1) + 1 <= MOST_LEVELS else None


def determining_pairs(
    columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray, skip: set[str]
) -> list[tuple[str, str, int]]:
    """Pairs of columns whose levels together determine the outcome, beyond chance.

    Args:
        columns: The columns.
        frame: Their values; n rows.
        y: Outcomes. Shape (n,).
        skip: Columns that determine it alone.

    Returns:
        Both names, and the number of patients who have both values.
    """
    codes = {
        c.name: found
        for c in columns
        if c.name not in skip and (found := level_codes(c, frame[c.name])) is not None
    }
    tried = max(len(codes) * (len(codes) - 1) // 2, 1)
    pairs = []
    for first, second in itertools.combinations(codes, 2):
        known = (codes[first] >= 0) & (codes[second] >= 0)
        labels = y[known]
        if len(np.unique(labels)) < 2:
            continue
        joint = codes[first][known] * (MOST_LEVELS + 1) + codes[second][known]
        levels = len(np.unique(joint))
        if chance_of_levels(labels, levels, tried) < CHANCE and by_levels(labels, joint):
            pairs.append((first, second, int(known.sum())))
    return pairs


def separating_columns(
    columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray
) -> tuple[tuple[str, ...], int]:
    """A smallest set of columns, a weighted sum of which separates the classes beyond chance.

    Smallest in the sense that without any one of them nothing separates. Patients with a missing
    value in any column of the set are left out.

    Args:
        columns: Columns to try together, for example those of one group.
        frame: Their values; n rows.
        y: Outcomes. Shape (n,).

    Returns:
        Names and the number of patients with all of them; no name if nothing separates.
    """
    blocks = {c.name: _block(c, frame[c.name]) for c in columns}
    blocks = {name: block for name, block in blocks.items() if np.isfinite(block).any()}

    def separates(names: Sequence[str]) -> bool:
        if not names:
            return False
        x, labels = _complete(blocks, names, y)
        if len(np.unique(labels)) < 2 or chance_of_plane(labels, x.shape[1], 1) >= CHANCE:
            return False
        return _has_plane(x, labels)

    if not separates(list(blocks)):
        return (), 0
    names = _without_superfluous(list(blocks), separates)
    return tuple(names), len(_complete(blocks, names, y)[1])


def _without_superfluous(names: list[str], separates: Callable[[Sequence[str]], bool]) -> list[str]:
    for name in list(names):
        rest = [n for n in names if n != name]
        if separates(rest):
            names = rest
    return names


def _complete(
    blocks: dict[str, np.ndarray], names: Sequence[str], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    x = np.column_stack([blocks[name] for name in names])
    known = np.isfinite(x).all(axis=1)
    x = x[known]
    return x[:, np.ptp(x, axis=0) > 0] if len(x) else x, y[known]


def _block(column: Column, values: pd.Series) -> np.ndarray:
    """Numbers of a column, standardised, NaN where missing; shape (n, width)."""
    if column.kind == "nominal":
        codes, levels = pd.factorize(values, sort=True)
        if len(levels) > MOST_LEVELS:
            return np.full((len(values), 1), np.nan)
        # The last level is the absence of all others.
        found = (codes[:, None] == np.arange(max(len(levels) - 1, 1))).astype(float)
        found[codes < 0] = np.nan
        return found
    numbers = column_numbers(column, values)
    spread = np.nanstd(numbers) if np.isfinite(numbers).any() else 1.0
    return ((numbers - np.nanmean(numbers)) / (spread or 1.0))[:, None]


def _has_plane(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether weights exist with sign · (x · w + b) ≥ 1 for everyone."""
    signed = np.where(y == 1, 1.0, -1.0)[:, None] * np.column_stack([x, np.ones(len(x))])
    free = [(None, None)] * signed.shape[1]
    zero = np.zeros(signed.shape[1])
    solved = linprog(zero, A_ub=-signed, b_ub=-np.ones(len(x)), bounds=free, method="highs")
    return bool(solved.status == 0)
