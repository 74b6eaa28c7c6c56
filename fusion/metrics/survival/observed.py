"""How many had the event by a horizon, corrected for censoring, for many draws at once."""

from __future__ import annotations

import numpy as np

from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_weights
from fusion.metrics.survival._risk_sets import risk_sets, value_at, value_before
from fusion.metrics.survival.censoring import (
    censoring_distribution,
    log_censoring_steps,
    state_at,
)
from fusion.metrics.survival.incidence import cumulative_incidence
from fusion.metrics.survival.times import EVENT, Times


def observed_risk(
    times: Times, horizon: float, weights: np.ndarray | None = None, *, cause: int = EVENT
) -> np.ndarray:
    """Share of the rows under observation that had the event by a horizon.

    Each event counts for the inverse probability that it was seen, with the censoring of the rows
    themselves in each draw. Without delayed entry this is 1 − Kaplan–Meier, or Aalen–Johansen where
    events compete (Satten & Datta 2001), to 12 digits. With delayed entry it is the share among
    those who came under observation before the horizon, and stands beside predicted risks that are
    given entry; Kaplan–Meier would estimate the risk of everyone from time zero on instead.

    The curve is carried on beyond the last exit of a draw. Memory: six matrices of (n, draws).

    Args:
        times: Follow-up of n rows.
        horizon: Any time above 0.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN for a draw without rows.
    """
    weights = checked_weights(times, weights)
    sets = risk_sets(times, weights)
    log_g = np.cumsum(log_censoring_steps(sets), axis=0)
    entered = times.entry < horizon
    cases = np.flatnonzero(entered & (times.event == cause) & (times.time <= horizon))
    inverse = -value_before(sets.time, log_g, times.time[cases], 0.0)
    if times.delayed:
        inverse = inverse + value_at(sets.time, log_g, times.after[cases], 0.0)
    found = np.sum(weights.T[cases] * np.exp(inverse), axis=0)
    return ratio(found, weights @ entered)


def observed_risk_variance(times: Times, horizon: float, cause: int = EVENT) -> float:
    """Variance of `observed_risk`, for a plot.

    That of `cumulative_incidence`; with delayed entry the one that takes the weights as known,
    which is a little too large.
    """
    if not times.delayed:
        curve = cumulative_incidence(times, cause)
        return float(value_at(curve.time, curve.variance, np.asarray(horizon), 0.0))
    state = state_at(times, horizon, censoring_distribution(times), cause)
    seen = (state.weight[:, 0] * state.case)[state.entered]
    return float(np.var(seen) / max(len(seen), 1)) if len(seen) else float("nan")
