"""Cumulative/dynamic AUC: does the score tell who has the event by a horizon from who does not."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError
from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_score, checked_weights
from fusion.metrics.survival.censoring import Censoring, State, last_supported_time, state_at
from fusion.metrics.survival.kaplan_meier import survival_at
from fusion.metrics.survival.times import EVENT, Times


def dynamic_auc(
    times: Times,
    score: np.ndarray,
    horizon: float,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Probability that a row with the event by the horizon outranks one without; ties count half.

    Inverse probability of censoring weights (Uno et al. 2007; Blanche et al. 2013). Rows with a
    competing event by the horizon are among those without the event (Blanche's second definition);
    for the cause-specific one pass `times.cause_specific(cause)`. Rows that enter after the horizon
    are left out, and cases and controls are those who came under observation.

    Equals `riskRegression::Score(metrics = "auc")`, also with competing events, and
    `cumulative_dynamic_auc` of scikit-survival, to 10 digits where no censoring is tied with an
    event (scikit-survival) or falls on the horizon, and G is from the rows these use.

    Args:
        times: Follow-up of n rows.
        score: Higher means more likely an event by the horizon. Shape (n,).
        horizon: Any time above 0.
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.
        strata: Only pairs within a stratum (a fold) are compared. Shape (n,).

    Returns:
        Shape (draws,); NaN beyond the last supported time and for draws without a case or without
        a control.
    """
    weights = checked_weights(times, weights)
    if horizon > last_supported_time(times, censoring):
        return np.full(len(weights), np.nan)
    score = checked_score(times, score)
    state = state_at(times, horizon, censoring, cause)
    names = np.zeros(1) if strata is None else np.unique(strata)
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for name in names:
        rows = np.arange(len(score)) if strata is None else np.flatnonzero(strata == name)
        won, compared = _pairs(state, score, weights, rows)
        wins, pairs = wins + won, pairs + compared
    return ratio(wins, pairs)


def _pairs(
    state: State, score: np.ndarray, weights: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the pairs of a case and a control that are won, and of all; shape (draws,)."""
    order = rows[np.argsort(-score[rows], kind="stable")]
    ordered = score[order]
    ends = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))
    weighted = weights.T[order] * state.weight[order]
    case, control = state.case[order], state.control[order]
    found = np.cumsum(weighted * case[:, None], axis=0)[ends]
    alarms = np.cumsum(weighted * control[:, None], axis=0)[ends]
    steps = np.diff(alarms, axis=0, prepend=0.0)
    wins = np.sum(steps * (found - np.diff(found, axis=0, prepend=0.0) / 2), axis=0)
    return wins, found[-1] * alarms[-1]


def auc_over_time(
    times: Times,
    score: np.ndarray,
    grid: np.ndarray,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """`dynamic_auc` at each time of a grid.

    Args:
        times: Follow-up of n rows.
        score: One score for all times, (n,), or one for each, (n, grid).
        grid: Shape (grid,).
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.
        strata: As for `dynamic_auc`.

    Returns:
        Shape (draws, grid).
    """
    columns = np.broadcast_to(np.atleast_2d(np.asarray(score, float).T), (len(grid), len(times)))
    found = [
        dynamic_auc(times, column, float(at), censoring, weights, cause=cause, strata=strata)
        for column, at in zip(columns, grid, strict=True)
    ]
    return np.stack(found, axis=1)


def integrated_auc(
    times: Times,
    score: np.ndarray,
    grid: np.ndarray,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Mean of AUC(t) over a grid, weighted by how many events of any kind fall to each time.

    The weights are the steps of Kaplan–Meier over the grid, each draw's own (Lambert & Chevret
    2016). Equals the mean that `cumulative_dynamic_auc` of scikit-survival returns to 10 digits.

    Args:
        times: Follow-up of n rows.
        score: As for `auc_over_time`.
        grid: Ascending. Shape (grid,).
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN where the AUC at a time that counts is.

    Raises:
        DataError: The grid does not ascend.
    """
    grid = np.asarray(grid, dtype=float)
    if not len(grid) or not (np.diff(grid) > 0).all():
        raise DataError("a grid of times must ascend")
    areas = auc_over_time(times, score, grid, censoring, weights, cause=cause)
    survival = survival_at(times, grid, weights)
    steps = -np.diff(survival, axis=1, prepend=1.0)
    counted = np.where(steps > 0, areas * steps, 0.0)
    return ratio(counted.sum(axis=1), 1 - survival[:, -1])
