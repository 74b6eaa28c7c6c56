"""Checked inputs and weighted counts that every metric and curve starts from."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError


def validated(
    y: np.ndarray, values: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checks the columns of a metric and returns them as float64.

    Args:
        y: Outcomes, 0 or 1. Shape (n,).
        values: Scores, probabilities or decisions. Shape (n,).
        weights: Non-negative weights, one line a draw. Shape (draws, n); None counts every row
            once.

    Returns:
        y (n,), values (n,) and weights (draws, n).

    Raises:
        DataError: Shapes differ, nothing is there, an outcome is not 0 or 1, a value is not
            finite, or a weight is negative or not a number.
    """
    y = np.asarray(y, dtype=float)
    values = np.asarray(values, dtype=float)
    if y.ndim != 1 or y.shape != values.shape or not len(y):
        raise DataError(
            f"a metric needs two filled columns of one length, not {y.shape} and {values.shape}"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("a metric needs outcomes that are 0 or 1, none missing")
    if not np.isfinite(values).all():
        raise DataError(
            f"a metric needs finite predictions; {int((~np.isfinite(values)).sum())} of "
            f"{len(values)} are not"
        )
    if weights is None:
        return y, values, np.ones((1, len(y)))
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or weights.shape[1] != len(y) or not (weights >= 0).all():
        raise DataError(f"weights must be non-negative with shape (draws, {len(y)})")
    return y, values, weights


def validated_probabilities(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `validated`, and refuses values outside [0, 1]."""
    y, probability, weights = validated(y, probability, weights)
    if probability.min() < 0 or probability.max() > 1:
        raise DataError("probabilities must lie between 0 and 1")
    return y, probability, weights


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient that is NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    empty = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=empty, where=denominator != 0)
