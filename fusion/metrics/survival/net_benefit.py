"""Net benefit of deciding by predicted risk at a horizon, under censoring."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError
from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_risk, checked_weights
from fusion.metrics.survival.censoring import last_followed_time
from fusion.metrics.survival.observed import observed_risk
from fusion.metrics.survival.times import EVENT, Times


def net_benefit_at(
    times: Times,
    risk: np.ndarray,
    horizon: float,
    weights: np.ndarray | None = None,
    *,
    threshold: float,
    cause: int = EVENT,
) -> np.ndarray:
    """Net benefit of treating from a predicted risk on (Vickers et al. 2008).

    Share treated · (observed risk of the treated − (1 − observed risk) · t/(1 − t)), the risk by
    Kaplan–Meier among the treated, or by Aalen–Johansen where events compete. With delayed entry as
    in `observed_risk`, of the rows that entered before the horizon. Treating all is a risk of 1 for
    everyone; treating nobody has net benefit 0.

    Equals the formula with `survfit` of R survival in the treated to 10 digits.

    Args:
        times: Follow-up of n rows.
        risk: Predicted probability of the event by the horizon, given entry. Shape (n,).
        horizon: Any time above 0.
        weights: Shape (draws, n).
        threshold: Risk from which on to treat.
        cause: Code of the event.

    Returns:
        Shape (draws,); 0 where nobody is treated, NaN for draws without rows and beyond
        `last_followed_time`.

    Raises:
        DataError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise DataError(f"a threshold probability lies between 0 and 1, not at {threshold}")
    weights = checked_weights(times, weights)
    if horizon > last_followed_time(times):
        return np.full(len(weights), np.nan)
    risk = checked_risk(times, risk)
    entered = (times.entry < horizon).astype(float)
    treated = np.flatnonzero(entered * (risk >= threshold))
    if not len(treated):
        return np.where(weights @ entered > 0, 0.0, np.nan)
    drawn = weights[:, treated]
    observed = observed_risk(times.take(treated), horizon, drawn, cause=cause)
    odds = threshold / (1 - threshold)
    gain = np.where(np.isnan(observed), 0.0, observed - (1 - observed) * odds)
    return gain * ratio(drawn.sum(axis=1), weights @ entered)


def decision_curve_at(
    times: Times,
    risk: np.ndarray,
    horizon: float,
    grid: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """`net_benefit_at` at each threshold of `grid`; shape (draws, grid)."""
    found = [
        net_benefit_at(times, risk, horizon, weights, threshold=float(threshold), cause=cause)
        for threshold in grid
    ]
    return np.stack(found, axis=1)
