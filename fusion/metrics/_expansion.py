"""Where the maximum of a logistic likelihood lies that was weighted a little differently."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, factorial

import numpy as np

ORDER = 4
"""Of the last derivative of the logistic function that is taken along."""

REFINEMENTS = 8
"""Each brings the start nearer by a factor of about its distance from the centre."""

FARTHEST = 0.5
"""Distance from the centre up to which the expansion says anything."""


def expanded_start(
    y: np.ndarray,
    features: np.ndarray,
    p: np.ndarray,
    rows: np.ndarray,
    solve: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """How far from common coefficients each draw's likelihood has its maximum, nearly.

    The gradient is expanded in powers of the distance. Its terms are sums over rows whose summands
    are the same for all draws, so that all draws together take one product of matrices, where
    exact ones take a logistic function of every row and draw.

    Args:
        y: Outcomes. Shape (n,).
        features: One constant, or a constant and another. Shape (k, n), k of 1 or 2.
        p: Probabilities at the common coefficients. Shape (n,).
        rows: Weights. Shape (n, draws).
        solve: Solves curvature (k (k + 1) / 2, draws) for a right side (k, draws).

    Returns:
        Shape (k, draws); 0 where the maximum is too far away.
    """
    k = len(features)
    powers = features[-1] ** np.arange(ORDER + 2)[:, None]
    reach = range(1) if k == 1 else range(ORDER + 2)  # of a constant every power is the same
    kept = [(m, r) for m in range(1, ORDER + 1) for r in reach if r <= m + 1]
    slopes = _derivatives(p)
    basis = [features * (y - p), np.stack([slopes[m] * powers[r] for m, r in kept])]
    sums = np.concatenate(basis) @ rows
    gradient, moments = sums[:k], dict(zip(kept, sums[k:], strict=True))
    curvature = np.stack([moments[1, i + j] for i in range(k) for j in range(i, k)])
    found = np.zeros_like(gradient)
    for _ in range(REFINEMENTS):
        found = found + solve(curvature, gradient - _risen(found, moments))
        found = np.clip(found, -2 * FARTHEST, 2 * FARTHEST)  # of those that run away
    near = np.isfinite(found).all(axis=0) & (np.abs(found).max(axis=0) <= FARTHEST)
    return np.where(near, found, 0.0)


def _derivatives(p: np.ndarray) -> dict[int, np.ndarray]:
    """Derivatives of the logistic function where it is p, by order."""
    first = p * (1 - p)
    return {
        1: first,
        2: first * (1 - 2 * p),
        3: first * (1 - 6 * first),
        4: first * (1 - 2 * p) * (1 - 12 * first),
    }


def _risen(step: np.ndarray, moments: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    """What the expected events, weighted by each feature, rise by; (k, draws)."""
    if len(step) == 1:
        return sum(step**m / factorial(m) * moments[m, 0] for m in range(1, ORDER + 1))
    total = np.zeros_like(step)
    for m in range(1, ORDER + 1):
        for a in range(m + 1):
            term = comb(m, a) / factorial(m) * step[0] ** (m - a) * step[1] ** a
            total += term * np.stack([moments[m, a], moments[m, a + 1]])
    return total
