"""Curves over a grid, by the same conventions as `fusion.metrics`."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import DataError
from fusion.metrics._weighted import ratio, validated_probabilities
from fusion.metrics.ranking import Ranking

Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve over a grid, with its pointwise 95 % bootstrap band where there is one.

    Attributes:
        x: Grid. Shape (points,).
        y: Value, averaged over repeats. Shape (points,).
        low: Lower edge of the band. Shape (points,) or None.
        high: Upper edge of the band. Shape (points,) or None.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class CalibrationBins:
    """Predicted against observed risk in bins of about equal size; shape (bins,) each.

    Attributes:
        predicted: Mean predicted probability.
        observed: Share of events.
        low: Lower edge of the 95 % Wilson interval of `observed`.
        high: Upper edge of it.
        count: Patients in the bin, in the mean over repeats.
    """

    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def roc_curve(
    y: np.ndarray, score: np.ndarray, grid: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Sensitivity at each false-positive rate of `grid`, linear across ties.

    Where the curve rises vertically its upper end is taken, also at rate 0.

    Returns:
        Shape (draws, grid); NaN with one class only.
    """
    return Ranking.of(y, score, weights).roc(grid)


def pr_curve(
    y: np.ndarray, score: np.ndarray, grid: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Precision at the highest threshold whose recall reaches each value of `grid`.

    These are the steps that average precision sums; nothing is interpolated (Davis & Goadrich
    2006).

    Returns:
        Shape (draws, grid); NaN without an event.
    """
    return Ranking.of(y, score, weights).precision_recall(grid)


def decision_curve(
    y: np.ndarray, probability: np.ndarray, grid: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Net benefit (`metrics.net_benefit`) at each threshold probability of `grid`.

    Treating nobody has net benefit 0; treating all is `probability` 1 for everyone.

    Returns:
        Shape (draws, grid).

    Raises:
        DataError: A threshold is not between 0 and 1.
    """
    if not ((grid > 0) & (grid < 1)).all():
        raise DataError("threshold probabilities lie between 0 and 1")
    y, probability, weights = validated_probabilities(y, probability, weights)
    gain = np.where(y[:, None] == 1, 1.0, -grid / (1 - grid))
    treated = probability[:, None] >= grid
    return ratio(weights @ (gain * treated), weights.sum(axis=1, keepdims=True))


def calibration_curve(y: np.ndarray, probability: np.ndarray, bins: int = 10) -> CalibrationBins:
    """Observed share of events over the predicted probability, in quantile bins.

    Equal probabilities are never split, so bins may be fewer than asked for and row order does not
    matter. Intervals of the shares: Wilson 1927.

    Args:
        y: Outcomes, 0 or 1. Shape (n,).
        probability: Predictions, of one or more repeats. Shape (n,) or (repeats, n). A patient
            counts once: each repeat gives its bin a part of him.
        bins: Their number.
    """
    repeats = 1 if probability.ndim == 1 else len(probability)
    y, probability, _ = validated_probabilities(np.tile(y, repeats), probability.ravel(), None)
    edges = np.quantile(probability, np.arange(1, bins) / bins)
    _, member = np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)
    rows = np.bincount(member)
    count = rows / repeats if repeats > 1 else rows
    observed = np.bincount(member, weights=y) / rows
    centre = (observed + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    spread = np.sqrt(observed * (1 - observed) / count + Z95**2 / (4 * count**2))
    half = Z95 * spread / (1 + Z95**2 / count)
    return CalibrationBins(
        predicted=np.bincount(member, weights=probability) / rows,
        observed=observed,
        low=np.maximum(centre - half, 0.0),
        high=np.minimum(centre + half, 1.0),
        count=count,
    )
