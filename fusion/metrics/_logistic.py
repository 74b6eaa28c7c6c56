"""One-feature logistic regression without penalty, for many draws of weights at once."""

from __future__ import annotations

import numpy as np

from fusion.metrics._expansion import expanded_start
from fusion.metrics._weighted import ratio
from fusion.metrics.logits import sigmoid, to_probabilities

STEPS = 200
TOLERANCE = 1e-10
TOUCHING = 1e-9
"""Of the range of values: classes that overlap by less have slopes far beyond `STEEPEST`."""
FLAT = 1e-14
"""Gradient, of the weight of all rows, below which it is rounding: probabilities of 0 and 1 leave
so little curvature that steps never get short."""
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
    defined = ~separated(y, x, weights)
    slopes = np.full(len(weights), np.nan)
    slopes[defined] = _fitted(y, features, _chosen(weights, defined), np.zeros(len(y)))[1]
    slopes /= x.std()
    slopes[np.abs(slopes) > STEEPEST] = np.nan
    return slopes


def fit_intercept(y: np.ndarray, offset: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Intercept a of logit P(y) = a + offset; shape (draws,), NaN with one class only."""
    events, total = weights @ y, weights.sum(axis=1)
    defined = (events > 0) & (events < total)
    found = np.full(len(weights), np.nan)
    found[defined] = _fitted(y, np.ones((1, len(y))), _chosen(weights, defined), offset)[0]
    return found


def separated(y: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draws in which all events lie on one side of all non-events, `TOUCHING` allowed."""
    lowest, highest = [], []
    for label in (0, 1):
        members = np.flatnonzero(y == label)
        members = members[np.argsort(x[members], kind="stable")]
        drawn = weights.T[members] > 0
        present = drawn.any(axis=0)
        if not len(members):
            return np.ones(len(weights), dtype=bool)
        lowest.append(np.where(present, x[members][drawn.argmax(axis=0)], np.inf))
        highest.append(np.where(present, x[members[::-1]][drawn[::-1].argmax(axis=0)], -np.inf))
    touching = TOUCHING * np.ptp(x)
    return np.asarray((highest[0] <= lowest[1] + touching) | (highest[1] <= lowest[0] + touching))


def _chosen(weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Weights of some draws; shape (n, draws), the draws of a row next to each other."""
    return weights.T if draws.all() else weights.T[:, draws]


def _fitted(
    y: np.ndarray, features: np.ndarray, rows: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Coefficients (k, draws) of each draw, begun near by: from those of the data.

    A draw of few patients can lie so that Newton's method leads nowhere from the expansion; then
    it begins at the data's coefficients themselves.
    """
    start = np.zeros((len(features), 1))
    solved = _newton(y, features, start, np.ones((len(y), 1)), offset)
    solved = np.where(np.isfinite(solved), solved, 0.0)
    p = sigmoid(features.T @ solved[:, 0] + offset)
    near = solved + expanded_start(y, features, p, rows, solve)
    found = _newton(y, features, near, rows, offset)
    lost = np.isnan(found).any(axis=0)
    if lost.any():
        again = solved.repeat(int(lost.sum()), axis=1)
        found[:, lost] = _newton(y, features, again, rows[:, lost], offset)
    return found


def _newton(
    y: np.ndarray,
    features: np.ndarray,
    start: np.ndarray,
    rows: np.ndarray,
    offset: np.ndarray,
) -> np.ndarray:
    """Maximises the likelihood for one or two features (k, n), rows weighted (n, draws).

    Returns:
        Shape (k, draws); NaN where it does not converge.
    """
    k = len(features)
    products = np.stack([features[i] * features[j] for i in range(k) for j in range(i, k)])
    found = np.full(start.shape, np.nan)
    live, current = np.arange(start.shape[1]), start.copy()
    gradient = np.full(start.shape, np.nan)
    for _ in range(STEPS):
        if not len(live):
            break
        p = features.T @ current
        p += offset[:, None]
        to_probabilities(p)
        expected = rows * p
        gradient = (features * y) @ rows - features @ expected
        np.subtract(1, p, out=p)
        expected *= p
        step = solve(products @ expected, gradient)
        length = np.abs(step).max(axis=0)
        current += step * np.minimum(1.0, LONGEST_STEP / np.maximum(length, LONGEST_STEP))
        done = length < TOLERANCE
        found[:, live[done]] = current[:, done]
        going = ~done & np.isfinite(length)
        if not going.all():
            live, current, rows = live[going], current[:, going], rows[:, going]
            gradient = gradient[:, going]
    if len(live):
        flat = np.abs(gradient).max(axis=0) <= FLAT * rows.sum(axis=0)
        found[:, live[flat]] = current[:, flat]
    return found


def solve(curvature: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Solves the 1×1 or symmetric 2×2 system of each draw; NaN where it is singular."""
    if len(gradient) == 1:
        return ratio(gradient, curvature)
    h00, h01, h11 = curvature
    determinant = h00 * h11 - h01**2
    numerator = [gradient[0] * h11 - gradient[1] * h01, gradient[1] * h00 - gradient[0] * h01]
    return ratio(np.stack(numerator), determinant)
