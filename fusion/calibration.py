"""Scores to probabilities, fitted on inner out-of-fold scores only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from fusion.model import sigmoid

MIN_SLOPE = 1e-2
"""Least slope over a standardised score: calibration never reverses or erases a ranking."""


@dataclasses.dataclass(frozen=True)
class PlattScaling:
    """Probability = sigmoid(slope × score + intercept) (Platt 1999).

    Attributes:
        slope: Always positive.
        intercept: Log odds at score 0.
    """

    slope: float
    intercept: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of each score; shape (n,)."""
        return sigmoid(np.clip(self.slope * score + self.intercept, -30.0, 30.0))


def fit_platt(score: np.ndarray, y: np.ndarray, weights: np.ndarray) -> PlattScaling:
    """Fits by weighted maximum likelihood with Platt's smoothed targets.

    The targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2) keep the slope finite where the scores
    separate the classes.

    Args:
        score: Out-of-fold scores; shape (n,).
        y: Outcomes, 0 or 1; shape (n,).
        weights: Weight of each row; shape (n,).
    """
    share = weights / weights.sum()
    centre = float(share @ score)
    spread = float(np.sqrt(share @ (score - centre) ** 2)) or 1.0
    z = (score - centre) / spread
    events = float(weights @ (y == 1))
    others = float(weights @ (y == 0))
    target = np.where(y == 1, (events + 1) / (events + 2), 1 / (others + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = parameters[0] * z + parameters[1]
        residual = share * (sigmoid(logits) - target)
        value = share @ (np.logaddexp(0.0, logits) - target * logits)
        return float(value), np.array([residual @ z, residual.sum()])

    prevalence = float(share @ target)
    start = np.array([1.0, np.log(prevalence / (1 - prevalence))])
    fitted = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(MIN_SLOPE, 50.0), (-30.0, 30.0)]
    ).x
    slope = float(fitted[0]) / spread
    return PlattScaling(slope, float(fitted[1]) - slope * centre)


def cross_fitted_platt(
    score: np.ndarray, y: np.ndarray, weights: np.ndarray, folds: Sequence[np.ndarray]
) -> np.ndarray:
    """Probability of each row by a scaling fitted on the other inner folds.

    Args:
        score: Out-of-fold scores; shape (n,).
        y: Outcomes, 0 or 1; shape (n,).
        weights: Weight of each row; shape (n,).
        folds: Integer rows of each inner fold; together all rows.
    """
    probability = np.empty(len(score))
    for rows in folds:
        others = np.setdiff1d(np.arange(len(score)), rows)
        probability[rows] = fit_platt(score[others], y[others], weights[others])(score[rows])
    return probability
