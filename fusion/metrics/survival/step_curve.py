"""An estimated curve that changes in steps, with its variance and interval."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.metrics.bootstrap import Estimate
from fusion.metrics.survival._risk_sets import value_at

_SAME = 1e-9  # a probability this close to the wanted one has reached it exactly


@dataclasses.dataclass(frozen=True)
class StepCurve:
    """A right-continuous estimate over time; arrays of shape (m,), one entry an exit time.

    Attributes:
        time: Distinct exit times, ascending.
        at_risk: Rows at risk at each.
        events: Events at each.
        value: Estimate from that time on.
        variance: Of the estimate.
        low: Lower edge of the pointwise 95 % interval.
        high: Upper edge of it.
        start: Value before the first step.
        complete: Nobody was left without an event, so that the curve is known for ever.
    """

    time: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    value: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    start: float
    complete: bool

    def at(self, t: np.ndarray | float) -> np.ndarray:
        """The estimate at each time; NaN beyond the last exit of an incomplete curve."""
        return self._look(self.value, t, self.start)

    def variance_at(self, t: np.ndarray | float) -> np.ndarray:
        """Variance of the estimate at each time; NaN as for `at`."""
        return self._look(self.variance, t, 0.0)

    def estimate_at(self, t: float) -> Estimate:
        """The estimate at one time with its pointwise 95 % interval; NaN as for `at`."""
        value, low, high = (
            float(self._look(edge, t, self.start)) for edge in (self.value, self.low, self.high)
        )
        return Estimate(value, low, high)

    def quantile(self, p: float = 0.5) -> Estimate:
        """Time at which a survival curve has fallen to 1 − p, with its 95 % interval.

        Where the curve is level at exactly 1 − p, the middle of that stretch; the interval holds
        the times at which the band of the curve includes 1 − p (Brookmeyer & Crowley 1982). NaN
        where the curve stays above. Equals `quantile(survfit(...), conf.type = "log-log")` of R
        survival to 10 digits.
        """
        value, low, high = (
            self._falls_to(edge, 1 - p) for edge in (self.value, self.low, self.high)
        )
        return Estimate(value, low, high)

    def _falls_to(self, values: np.ndarray, level: float) -> float:
        known = np.where(np.isnan(values), np.inf, values)
        reached = np.flatnonzero(known <= level + _SAME)
        if not len(reached):
            return float("nan")
        first = reached[0]
        beyond = np.flatnonzero(known < level - _SAME)
        if known[first] < level - _SAME or not len(beyond):
            return float(self.time[first])
        return float((self.time[first] + self.time[beyond[0]]) / 2)

    def _look(self, values: np.ndarray, t: np.ndarray | float, start: float) -> np.ndarray:
        t = np.asarray(t, dtype=float)
        found = value_at(self.time, values, t, start)
        return found if self.complete else np.where(t > self.time[-1], np.nan, found)
