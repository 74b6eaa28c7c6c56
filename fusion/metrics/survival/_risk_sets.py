"""Weighted counts at every exit time, for many draws at once: what all estimators stand on."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.metrics.survival.times import CENSORED, EVENT, Times


@dataclasses.dataclass(frozen=True)
class RiskSets:
    """Who is at risk and what happens at each distinct exit time; draws along the second axis.

    Attributes:
        time: Distinct exit times, ascending. Shape (m,).
        at_risk: Weight of the rows under observation at that time. Shape (m, draws).
        left: Weight of the rows that leave then, for whatever reason. Shape (m, draws).
        ended: Weight of those that leave with an event of any kind. Shape (m, draws).
        events: Weight of those that leave with the event of interest. Shape (m, draws).
    """

    time: np.ndarray
    at_risk: np.ndarray
    left: np.ndarray
    ended: np.ndarray
    events: np.ndarray


def risk_sets(times: Times, weights: np.ndarray, cause: int = EVENT) -> RiskSets:
    """Counts rows at every distinct exit time.

    Memory: five matrices of (n, draws) float64.

    Args:
        times: Follow-up of n rows.
        weights: Shape (draws, n).
        cause: Code of the event of interest.
    """
    order = np.argsort(times.time, kind="stable")
    ordered, event = weights.T[order], times.event[order, None]
    grid, starts = np.unique(times.time[order], return_index=True)
    left = np.add.reduceat(ordered, starts, axis=0)
    at_risk = np.cumsum(left[::-1], axis=0)[::-1]
    if times.delayed:
        at_risk = np.maximum(at_risk - _still_outside(times, weights, grid), left)
    ended = np.add.reduceat(ordered * (event > CENSORED), starts, axis=0)
    same = not times.competing and cause == EVENT
    events = ended if same else np.add.reduceat(ordered * (event == cause), starts, axis=0)
    return RiskSets(grid, at_risk, left, ended, events)


def numbers_at_risk(times: Times, at: np.ndarray) -> np.ndarray:
    """Rows under observation at each time, entry < t ≤ exit, or from 0 on.

    Equals `summary(survfit(...), times = at)$n.risk` of R survival exactly.

    Args:
        times: Follow-up of n rows.
        at: Shape (points,).

    Returns:
        Shape (points,), int64.
    """
    at = np.asarray(at, dtype=float)
    entered = np.searchsorted(np.sort(times.after), at, side="left")
    gone = np.searchsorted(np.sort(times.time), at, side="left")
    return np.asarray(entered - gone, dtype=np.int64)


def value_at(grid: np.ndarray, values: np.ndarray, at: np.ndarray, start: float) -> np.ndarray:
    """Right-continuous step function at each time; `start` before the first step.

    Args:
        grid: Ascending. Shape (m,).
        values: Shape (m, ...).
        at: Shape (points,).
        start: Value before the first step.
    """
    return _lookup(values, np.searchsorted(grid, at, side="right"), start)


def value_before(grid: np.ndarray, values: np.ndarray, at: np.ndarray, start: float) -> np.ndarray:
    """Left limit of a step function at each time; see `value_at`."""
    return _lookup(values, np.searchsorted(grid, at, side="left"), start)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient that is 0 where nobody is there."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _lookup(values: np.ndarray, steps: np.ndarray, start: float) -> np.ndarray:
    first = np.full((1, *values.shape[1:]), start)
    return np.asarray(np.concatenate([first, values])[steps])


def _still_outside(times: Times, weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Weight of the rows that enter at or after each time. Shape (m, draws)."""
    order = np.argsort(times.after, kind="stable")
    later = np.cumsum(weights.T[order[::-1]], axis=0)[::-1]
    later = np.concatenate([later, np.zeros((1, later.shape[1]))])
    return np.asarray(later[np.searchsorted(times.after[order], grid, side="left")])
