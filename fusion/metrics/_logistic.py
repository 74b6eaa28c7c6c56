"""One-feature logistic regression without penalty, for many draws of weights at once."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from fusion.metrics._weighted import ratio

STEPS = 200
TOLERANCE = 1e-10
LONGEST_STEP = 2.0  # a draw far from its optimum must not overshoot into saturation
STEEPEST = 50.0
"""Slope from which on classes are as good as separated: its size says nothing any more."""


def fit_slope(y: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Slope b of logit P(y) = a + b · x by Newton's method.

    Args:
        y: Outcomes, 0 or 1. Shape (n,).
        x: Feature, not constant. Shape (n,).
        weights: Shape (draws, n).

    Returns:
        Shape (draws,); NaN where the likelihood has no finite maximum: one class only, or classes
        that one value of x separates (Albert & Anderson 1984), or as good as separates: a slope
        beyond `STEEPEST`.
    """
    z = (x - x.mean()) / x.std()
    features = np.stack([np.ones_like(z), z])
    draws = len(weights)
    solved = _newton(y, features, np.zeros((2, 1)), np.ones((1, len(y))), np.zeros(len(y)))
    start = np.where(np.isfinite(solved), solved, 0.0).repeat(draws, axis=1)
    defined = ~separated(y, x, weights)
    slopes = np.full(draws, np.nan)
    slopes[defined] = _newton(y, features, start[:, defined], weights[defined], np.zeros(len(y)))[1]
    slopes /= x.std()
    slopes[np.abs(slopes) > STEEPEST] = np.nan
    return slopes


def fit_intercept(y: np.ndarray, offset: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Intercept a of logit P(y) = a + offset; shape (draws,), NaN with one class only."""
    events, total = weights @ y, weights.sum(axis=1)
    defined = (events > 0) & (events < total)
    found = np.full(len(weights), np.nan)
    start = np.zeros((1, int(defined.sum())))
    found[defined] = _newton(y, np.ones((1, len(y))), start, weights[defined], offset)[0]
    return found


def separated(y: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draws in which all events lie on one side of all non-events, touching allowed."""
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    drawn = weights[:, order] > 0
    lowest, highest = [], []
    for label in (0, 1):
        members = drawn & (y[order] == label)
        present = members.any(axis=1)
        lowest.append(np.where(present, ordered[members.argmax(axis=1)], np.inf))
        highest.append(np.where(present, ordered[::-1][members[:, ::-1].argmax(axis=1)], -np.inf))
    return (highest[0] <= lowest[1]) | (highest[1] <= lowest[0])


def _newton(
    y: np.ndarray,
    features: np.ndarray,
    start: np.ndarray,
    weights: np.ndarray,
    offset: np.ndarray,
) -> np.ndarray:
    """Maximises the weighted likelihood for one or two features (k, n); returns (k, draws)."""
    k = len(features)
    products = np.stack([features[i] * features[j] for i in range(k) for j in range(i, k)])
    found = np.full(start.shape, np.nan)
    live, current, rows = np.arange(start.shape[1]), start.copy(), weights.T
    for _ in range(STEPS):
        if not len(live):
            break
        p = expit(offset[:, None] + features.T @ current)
        gradient = features @ (rows * (y[:, None] - p))
        step = solve(products @ (rows * p * (1 - p)), gradient)
        length = np.abs(step).max(axis=0)
        current += step * np.minimum(1.0, LONGEST_STEP / np.maximum(length, LONGEST_STEP))
        done = length < TOLERANCE
        found[:, live[done]] = current[:, done]
        going = ~done & np.isfinite(length)
        if not going.all():
            live, current, rows = live[going], current[:, going], rows[:, going]
    return found


def solve(curvature: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Solves the 1×1 or symmetric 2×2 system of each draw; NaN where it is singular."""
    if len(gradient) == 1:
        return ratio(gradient, curvature)
    h00, h01, h11 = curvature
    determinant = h00 * h11 - h01**2
    numerator = [gradient[0] * h11 - gradient[1] * h01, gradient[1] * h00 - gradient[0] * h01]
    return ratio(np.stack(numerator), determinant)
