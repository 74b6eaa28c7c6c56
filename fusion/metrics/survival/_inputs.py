"""Checked scores, risks and weights beside follow-up."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError
from fusion.metrics.survival.times import Times


def checked_weights(times: Times, weights: np.ndarray | None) -> np.ndarray:
    """Weights of each draw as float64, (draws, n); one draw of ones where there are none.

    Raises:
        DataError: The shape is another, or a weight is negative or not a number.
    """
    if weights is None:
        return np.ones((1, len(times)))
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or weights.shape[1] != len(times) or not (weights >= 0).all():
        raise DataError(f"weights must be non-negative with shape (draws, {len(times)})")
    return weights


def checked_score(times: Times, score: np.ndarray) -> np.ndarray:
    """A finite score of each row, (n,) float64.

    Raises:
        DataError: The length is another or a value is not finite.
    """
    score = np.asarray(score, dtype=float)
    if score.shape != times.time.shape:
        raise DataError(f"a score of shape {score.shape} stands beside {len(times)} times")
    if not np.isfinite(score).all():
        wrong = int((~np.isfinite(score)).sum())
        raise DataError(f"a metric needs finite predictions; {wrong} of {len(score)} are not")
    return score


def checked_risk(times: Times, risk: np.ndarray) -> np.ndarray:
    """As `checked_score`, and refuses values outside [0, 1]."""
    risk = checked_score(times, risk)
    if risk.min() < 0 or risk.max() > 1:
        raise DataError("risks must lie between 0 and 1")
    return risk


def checked_hazard(times: Times, hazard: np.ndarray) -> np.ndarray:
    """As `checked_score`, and refuses negative values."""
    hazard = checked_score(times, hazard)
    if hazard.min() < 0:
        raise DataError("a cumulative hazard is not negative")
    return hazard
