"""Kaplan–Meier curves of events and, reversed, of follow-up; Nelson–Aalen's cumulative hazard."""

from __future__ import annotations

import numpy as np

from fusion.metrics import Z95
from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_weights
from fusion.metrics.survival._risk_sets import risk_sets, share, value_at
from fusion.metrics.survival.step_curve import StepCurve
from fusion.metrics.survival.times import Times


def kaplan_meier(times: Times) -> StepCurve:
    """Probability of no event of any kind by each time.

    Product-limit estimate with delayed entry (Kaplan & Meier 1958; Tsai et al. 1987), Greenwood's
    variance and the interval on the scale of log(−log S), which stays within [0, 1]. Where few have
    entered yet the risk set can empty, and the curve stays at 0 from there on: that is what the
    data say, and `at_risk` shows it.

    Equals `survfit(Surv(entry, time, event) ~ 1, conf.type = "log-log")` of R survival to 10
    digits: survival, standard error, interval.
    """
    sets = risk_sets(times, np.ones((1, len(times))))
    return _product_limit(sets.time, sets.at_risk[:, 0], sets.ended[:, 0], sets.left[:, 0])


def follow_up(times: Times) -> StepCurve:
    """Reverse Kaplan–Meier: probability of still being followed, had nobody had an event.

    Its median is the follow-up to report (Schemper & Smith 1996). Events come before censoring
    where they are tied, so a row that has its event at t is not at risk of being censored at t.

    Equals `prodlim(Hist(time, event) ~ 1, reverse = TRUE)` of R prodlim to 10 digits, and where no
    event is tied with a censoring `survfit(Surv(time, event == 0) ~ 1)`.
    """
    sets = risk_sets(times, np.ones((1, len(times))))
    at_risk, censored = sets.at_risk - sets.ended, sets.left - sets.ended
    return _product_limit(sets.time, at_risk[:, 0], censored[:, 0], censored[:, 0])


def survival_at(
    times: Times, horizons: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Kaplan–Meier at each horizon, for all draws at once.

    Beyond the last exit of a draw the curve is carried on; whether a horizon is supported is a
    question to the data and not to a draw (`last_supported_time`). Memory: six matrices of
    (n, draws) float64.

    Args:
        times: Follow-up of n rows.
        horizons: Shape (horizons,).
        weights: Shape (draws, n).

    Returns:
        Shape (draws, horizons).
    """
    sets = risk_sets(times, checked_weights(times, weights))
    survival = np.cumprod(1 - share(sets.ended, sets.at_risk), axis=0)
    return value_at(sets.time, survival, np.asarray(horizons, dtype=float), 1.0).T


def nelson_aalen(times: Times) -> StepCurve:
    """Cumulative hazard of an event of any kind (Nelson 1972; Aalen 1978), with delayed entry.

    Variance Σ d/Y² and the interval H·exp(±z·se/H) of Bie et al. 1987. For one cause pass
    `times.cause_specific(cause)`.

    Equals `cumhaz` and `std.chaz` of `survfit(..., stype = 2, ctype = 1)` of R survival to 10
    digits.
    """
    sets = risk_sets(times, np.ones((1, len(times))))
    at_risk, events = sets.at_risk[:, 0], sets.ended[:, 0]
    hazard, variance = np.cumsum(events / at_risk), np.cumsum(events / at_risk**2)
    spread = np.exp(Z95 * ratio(np.sqrt(variance), hazard))
    return StepCurve(
        sets.time,
        at_risk,
        events,
        hazard,
        variance,
        low=hazard / spread,
        high=hazard * spread,
        start=0.0,
        complete=False,
    )


def log_log_interval(value: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a probability on the scale of log(−log p); NaN at 0 and 1."""
    inside = (value > 0) & (value < 1)
    p = np.where(inside, value, 0.5)
    half = np.minimum(Z95 * np.sqrt(variance) / (p * np.abs(np.log(p))), 300.0)
    edges = np.exp(np.log(p) * np.exp(half)), np.exp(np.log(p) * np.exp(-half))
    low, high = (np.where(inside, edge, np.nan) for edge in edges)
    return low, high


def _product_limit(
    time: np.ndarray, at_risk: np.ndarray, events: np.ndarray, left: np.ndarray
) -> StepCurve:
    survival = np.cumprod(1 - share(events, at_risk))
    greenwood = np.cumsum(ratio(events, at_risk * (at_risk - events)))
    variance = np.where(survival > 0, survival**2 * greenwood, np.nan)
    low, high = log_log_interval(survival, np.where(survival > 0, variance, 0.0))
    at_one = survival == 1
    return StepCurve(
        time,
        at_risk,
        events,
        survival,
        variance,
        low=np.where(at_one, 1.0, low),
        high=np.where(at_one, 1.0, high),
        start=1.0,
        complete=bool(left[-1] == events[-1]),
    )
