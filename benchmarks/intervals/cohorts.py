"""Cohorts with a known distribution: two normal classes that differ along a few columns.

Given the outcome, columns are independent and normal with variance 1; events lie `shift` away from
non-events. A linear score is then binormal, and its true AUROC, AUPRC and Brier are integrals in
one dimension.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import norm

PREVALENCE = 0.3
SHARED = 0.5
"""Correlation of a column between the patients of one cluster, who share their outcome."""

SEEN_BY_FEW = 0.6
"""Share of the squared signal that lies in the first column, which all arms see."""

FEW = 5
"""Columns of the arm that sees little; the rest is left out of it."""

GRID = np.linspace(-8.0, 8.0, 1601)


@dataclasses.dataclass(frozen=True)
class Cohort:
    """One drawn cohort.

    Attributes:
        x: Shape (n, columns).
        y: Outcomes, 0.0 or 1.0. Shape (n,).
        cluster: Whom folds and draws keep together. Shape (n,).
    """

    x: np.ndarray
    y: np.ndarray
    cluster: np.ndarray


@dataclasses.dataclass(frozen=True)
class Population:
    """Where cohorts are drawn from.

    Attributes:
        columns: Columns; the signal lies in the first and the last one.
        distance: Distance of the classes' means.
    """

    columns: int
    distance: float

    @property
    def shift(self) -> np.ndarray:
        """Difference of the classes' means. Shape (columns,)."""
        found = np.zeros(self.columns)
        found[0] = np.sqrt(SEEN_BY_FEW) * self.distance
        found[-1] = np.sqrt(1 - SEEN_BY_FEW) * self.distance
        return found

    def draw(self, n: int, cluster_size: int, rng: np.random.Generator) -> Cohort:
        """Draws n patients; patients of a cluster share outcome and part of their columns."""
        cluster = np.arange(n) // cluster_size
        clusters = cluster[-1] + 1
        y = (rng.random(clusters) < PREVALENCE).astype(float)[cluster]
        x = rng.normal(size=(n, self.columns))
        if cluster_size > 1:
            common = rng.normal(size=(clusters, self.columns))[cluster]
            x = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * x
        x += self.shift * (y[:, None] - PREVALENCE)
        return Cohort(x, y, cluster)


def arms(columns: int) -> dict[str, np.ndarray]:
    """Columns that each arm sees.

    `full` sees all, `few` the first ones, and `noisy` all but the one that holds what `few` lacks:
    noise is all that it has over `few`.
    """
    everything = np.arange(columns)
    return {"full": everything, "few": everything[:FEW], "noisy": everything[:-1]}


def linear_auroc(weights: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """True AUROC of linear scores; see `linear_others`."""
    scale = np.maximum(np.linalg.norm(weights, axis=1), 1e-12)
    return np.asarray(norm.cdf(weights @ shift / scale / np.sqrt(2)))


def linear_others(
    weights: np.ndarray, intercept: np.ndarray, shift: np.ndarray
) -> dict[str, np.ndarray]:
    """True AUPRC and Brier of linear logits.

    Args:
        weights: Shape (models, columns).
        intercept: Shape (models,).
        shift: Difference of the classes' means in these columns. Shape (columns,).

    Returns:
        AUPRC and Brier; shape (models,) each.
    """
    scale = np.maximum(np.linalg.norm(weights, axis=1), 1e-12)
    gap = weights @ shift
    low = intercept - PREVALENCE * gap  # mean score of non-events
    return {
        "auprc": _average_precision(gap / scale),
        "brier": _brier(low, gap, scale),
    }


def _average_precision(gap: np.ndarray) -> np.ndarray:
    """∫ precision d recall over thresholds, in units of the standard deviation of the score."""
    threshold = GRID[:, None] + gap[None, :] / 2
    recall, false = norm.sf(threshold - gap), norm.sf(threshold)
    called = PREVALENCE * recall + (1 - PREVALENCE) * false
    precision = PREVALENCE * recall / np.maximum(called, 1e-300)
    density = norm.pdf(threshold - gap)
    return np.asarray(np.trapezoid(precision * density, GRID, axis=0))


def _brier(low: np.ndarray, gap: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Expected squared error of the probabilities of a binormal logit."""
    density = norm.pdf(GRID)[:, None]
    found = np.zeros(len(low))
    for outcome, share in ((0.0, 1 - PREVALENCE), (1.0, PREVALENCE)):
        score = low + outcome * gap + scale * GRID[:, None]
        error = (1 / (1 + np.exp(-np.clip(score, -500, 500))) - outcome) ** 2
        found += share * np.trapezoid(error * density, GRID, axis=0)
    return found
