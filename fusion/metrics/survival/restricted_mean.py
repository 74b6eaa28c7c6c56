"""Restricted mean survival time: the area under a Kaplan–Meier curve up to a horizon."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import norm

from fusion.metrics import Z95
from fusion.metrics._weighted import ratio
from fusion.metrics.bootstrap import Estimate
from fusion.metrics.survival._inputs import checked_weights
from fusion.metrics.survival._risk_sets import risk_sets, share
from fusion.metrics.survival.kaplan_meier import kaplan_meier
from fusion.metrics.survival.times import Times


@dataclasses.dataclass(frozen=True)
class Area:
    """A restricted mean, or a difference of two.

    Attributes:
        value: In the unit of time; NaN where the horizon lies beyond follow-up.
        variance: Of it.
    """

    value: float
    variance: float

    @property
    def estimate(self) -> Estimate:
        """The value with its 95 % interval by the normal distribution."""
        half = Z95 * np.sqrt(self.variance)
        return Estimate(self.value, float(self.value - half), float(self.value + half))

    @property
    def p(self) -> float:
        """Two-sided p of a value of 0."""
        return float(2 * norm.sf(abs(self.value) / np.sqrt(self.variance)))


def restricted_mean(times: Times, horizon: float) -> Area:
    """Mean time without an event of any kind within (0, horizon].

    Source: Royston & Parmar 2013; variance Σ (∫ₜ^h S)²·d/(Y(Y − d)) (Klein & Moeschberger 2003,
    4.5).

    Equals `summary(survfit(...), rmean = horizon)$table[c("rmean", "se(rmean)")]` of R survival to
    10 digits. NaN if the horizon lies beyond the last exit and somebody was censored there.
    """
    curve = kaplan_meier(times)
    if horizon > curve.time[-1] and not curve.complete:
        return Area(float("nan"), float("nan"))
    inside = curve.time < horizon
    time, value = curve.time[inside], curve.value[inside]
    widths = np.diff(np.concatenate([[0.0], time, [horizon]]))
    areas = widths * np.concatenate([[1.0], value])
    beyond = np.cumsum(areas[::-1])[::-1][1:]  # from each exit to the horizon
    at_risk, events = curve.at_risk[inside], curve.events[inside]
    terms = np.where(beyond > 0, beyond**2 * ratio(events, at_risk * (at_risk - events)), 0.0)
    return Area(float(areas.sum()), float(terms.sum()))


def restricted_mean_difference(first: Times, second: Times, horizon: float) -> Area:
    """Restricted mean of `first` minus that of `second`, two independent groups."""
    a, b = restricted_mean(first, horizon), restricted_mean(second, horizon)
    return Area(a.value - b.value, a.variance + b.variance)


def restricted_mean_at(
    times: Times, horizon: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """Restricted mean for all draws at once, the curve carried on as in `survival_at`.

    A group is picked by weights of 0 elsewhere.

    Args:
        times: Follow-up of n rows.
        horizon: End of the window.
        weights: Shape (draws, n).

    Returns:
        Shape (draws,); NaN for a draw without rows.
    """
    weights = checked_weights(times, weights)
    sets = risk_sets(times, weights)
    survival = np.cumprod(1 - share(sets.ended, sets.at_risk), axis=0)
    inside = sets.time < horizon
    widths = np.diff(np.concatenate([[0.0], sets.time[inside], [horizon]]))
    area = widths[0] + widths[1:] @ survival[inside]
    return np.where(weights.sum(axis=1) > 0, area, np.nan)
