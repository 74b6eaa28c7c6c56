"""Brier score of predicted risks at a horizon under censoring, and its mean over time."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError
from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_risk, checked_weights
from fusion.metrics.survival.censoring import Censoring, last_supported_time, state_at
from fusion.metrics.survival.times import EVENT, Times


def brier_at(
    times: Times,
    risk: np.ndarray,
    horizon: float,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Mean squared difference between risk and state at a horizon (Graf et al. 1999).

    Inverse probability of censoring weights; the sum is divided by the number of rows that entered
    before the horizon, not by the sum of weights. With competing events the state is "had the event
    of this cause by the horizon" (Schoop et al. 2011). With delayed entry `risk` is the one given
    no event before entry (`Baseline.risk(..., entry=…)`).

    Equals `riskRegression::Score(metrics = "brier")`, also with competing events, and
    `brier_score` of scikit-survival to 10 digits, where no censoring is tied with an event
    (scikit-survival) or falls on the horizon, and G is from the rows these use.

    Args:
        times: Follow-up of n rows.
        risk: Predicted probability of the event by the horizon. Shape (n,).
        horizon: Any time above 0.
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN beyond the last supported time and for draws without rows.
    """
    weights = checked_weights(times, weights)
    if horizon > last_supported_time(times, censoring):
        return np.full(len(weights), np.nan)
    risk = checked_risk(times, risk)
    state = state_at(times, horizon, censoring, cause)
    loss = state.weight * ((state.case - risk) ** 2)[:, None]
    return ratio(np.sum(weights.T * loss, axis=0), weights @ state.entered)


def brier_over_time(
    times: Times,
    risk: np.ndarray,
    grid: np.ndarray,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """`brier_at` at each time of a grid.

    Args:
        times: Follow-up of n rows.
        risk: Shape (n, grid).
        grid: Shape (grid,).
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws, grid).
    """
    found = [
        brier_at(times, column, float(at), censoring, weights, cause=cause)
        for column, at in zip(np.asarray(risk).T, grid, strict=True)
    ]
    return np.stack(found, axis=1)


def integrated_brier(
    times: Times,
    risk: np.ndarray,
    grid: np.ndarray,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Mean of Brier(t) from the first to the last time of a grid, by trapezoids.

    Equals `integrated_brier_score` of scikit-survival to 10 digits where no censoring is tied with
    an event.

    Args:
        times: Follow-up of n rows.
        risk: Shape (n, grid).
        grid: Ascending, at least two times. Shape (grid,).
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,).

    Raises:
        DataError: The grid does not ascend or has fewer than two times.
    """
    grid = np.asarray(grid, dtype=float)
    if len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise DataError("an integrated Brier score needs two times or more that ascend")
    scores = brier_over_time(times, risk, grid, censoring, weights, cause=cause)
    return np.asarray(np.trapezoid(scores, grid, axis=1) / (grid[-1] - grid[0]))
