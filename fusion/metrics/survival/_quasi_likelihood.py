"""Regression of a state or a count on one predictor, for many draws of weights at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fusion.metrics._logistic import LONGEST_STEP, STEEPEST, STEPS, TOLERANCE, solve


class Link(Protocol):
    """A mean with its derivative over the variance, by the linear predictor."""

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, derivative of the mean, and derivative over variance."""


def complementary_log_log(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Binary state with mean 1 − exp(−eˣ): log hazard ratios and horizon risks on one scale."""
    hazard = np.exp(np.clip(x, -30.0, 5.0))
    mean = -np.expm1(-hazard)
    return mean, hazard * np.exp(-hazard), hazard / mean


def poisson(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count with mean eˣ."""
    mean = np.exp(np.clip(x, -30.0, 30.0))
    return mean, mean, np.ones_like(mean)


def fit_line(
    y: np.ndarray, x: np.ndarray, offset: np.ndarray, weights: np.ndarray, link: Link
) -> np.ndarray:
    """Slope b of link(E y) = a + b·x + offset by Fisher scoring.

    Args:
        y: State or count. Shape (n,).
        x: Predictor, not constant. Shape (n,).
        offset: Shape (n,).
        weights: Shape (draws, n).
        link: Which regression.

    Returns:
        Shape (draws,); NaN where no finite slope exists or it is beyond `STEEPEST`.
    """
    z = (x - x.mean()) / x.std()
    slopes = _scored(y, np.stack([np.ones_like(z), z]), offset, weights, link)[1] / x.std()
    slopes[np.abs(slopes) > STEEPEST] = np.nan
    return slopes


def fit_level(y: np.ndarray, offset: np.ndarray, weights: np.ndarray, link: Link) -> np.ndarray:
    """Intercept a of link(E y) = a + offset, y 0 or 1. Shape (draws,); NaN with one class only.

    Arguments as for `fit_line`.
    """
    defined = ((weights @ y) > 0) & ((weights @ (1 - y)) > 0)
    found = np.full(len(weights), np.nan)
    found[defined] = _scored(y, np.ones((1, len(y))), offset, weights[defined], link)[0]
    return found


def _scored(
    y: np.ndarray, design: np.ndarray, offset: np.ndarray, weights: np.ndarray, link: Link
) -> np.ndarray:
    """Solves the estimating equation for designs (k, n) with k of 1 or 2; (k, draws)."""
    k = len(design)
    products = np.stack([design[i] * design[j] for i in range(k) for j in range(i, k)])
    found = np.full((k, len(weights)), np.nan)
    start = np.zeros((k, 1))
    if len(weights) > 1:  # most draws lie near the solution of their mean
        middle = _scored(y, design, offset, weights.mean(axis=0, keepdims=True), link)
        start = np.where(np.isfinite(middle), middle, 0.0)
    live, current, rows = np.arange(len(weights)), start.repeat(len(weights), axis=1), weights.T
    for _ in range(STEPS):
        if not len(live):
            break
        mean, slope, per_variance = link(offset[:, None] + design.T @ current)
        gradient = design @ (rows * (y[:, None] - mean) * per_variance)
        step = solve(products @ (rows * slope * per_variance), gradient)
        length = np.abs(step).max(axis=0)
        current += step * np.minimum(1.0, LONGEST_STEP / np.maximum(length, LONGEST_STEP))
        done = length < TOLERANCE
        found[:, live[done]] = current[:, done]
        going = ~done & np.isfinite(length)
        live, current, rows = live[going], current[:, going], rows[:, going]
    return found
