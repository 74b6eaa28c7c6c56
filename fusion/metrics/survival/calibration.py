"""Are predicted risks right: observed over expected, intercept and slope, and bins for a plot.

At a horizon, the state of each row is weighted by the inverse probability of it being known and
regressed on the complementary log-log of its risk, on which scale a proportional-hazards model is
a straight line (Austin et al. 2020 use the same scale with a hazard regression; here competing
events and delayed entry need no model of their own). Over all of follow-up, events are regressed
on the cumulative hazard a model gave each row (Crowson et al. 2016).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.metrics._logistic import separated
from fusion.metrics._weighted import ratio
from fusion.metrics.classification import CONSTANT
from fusion.metrics.survival._inputs import (
    checked_hazard,
    checked_risk,
    checked_score,
    checked_weights,
)
from fusion.metrics.survival._quasi_likelihood import (
    complementary_log_log,
    fit_level,
    fit_line,
    poisson,
)
from fusion.metrics.survival.censoring import (
    Censoring,
    State,
    last_followed_time,
    last_supported_time,
    state_at,
)
from fusion.metrics.survival.kaplan_meier import log_log_interval
from fusion.metrics.survival.observed import observed_risk, observed_risk_variance
from fusion.metrics.survival.times import EVENT, Times

LIMIT = 1e-6  # risks are kept this far from 0 and 1, and hazards from 0, when their log is taken


@dataclasses.dataclass(frozen=True)
class RiskBins:
    """Predicted against observed risk in bins of about equal size; shape (bins,) each.

    Attributes:
        predicted: Mean predicted risk.
        observed: Observed risk.
        low: Lower edge of its 95 % interval.
        high: Upper edge of it.
        count: Rows in the bin.
    """

    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def observed_over_expected(
    times: Times,
    risk: np.ndarray,
    horizon: float,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Observed risk by a horizon over the mean predicted one; 1 is ideal, above 1 is too low.

    Observed as in `observed_risk`: Kaplan–Meier, Aalen–Johansen where events compete (Austin et al.
    2022). Rows that enter after the horizon are left out of both.

    Equals `(1 - summary(survfit(...), times = horizon)$surv) / mean(risk)` of R survival to 10
    digits.

    Args:
        times: Follow-up of n rows.
        risk: Predicted probability of the event by the horizon, given entry. Shape (n,).
        horizon: Any time above 0.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN for draws without rows, and beyond `last_followed_time`.
    """
    weights = checked_weights(times, weights)
    if horizon > last_followed_time(times):
        return np.full(len(weights), np.nan)
    risk = checked_risk(times, risk)
    entered = times.entry < horizon
    expected = ratio(weights @ (risk * entered), weights @ entered)
    return ratio(observed_risk(times, horizon, weights, cause=cause), expected)


def calibration_slope_at(
    times: Times,
    risk: np.ndarray,
    horizon: float,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Slope b of cloglog P(event by h) = a + b·cloglog(risk); 1 is ideal, below 1 too extreme.

    Equals `glm(case ~ cloglog(risk), quasibinomial("cloglog"), weights = 1/G)` of R to 6 digits.

    Args:
        times: Follow-up of n rows.
        risk: Predicted probability of the event by the horizon, given entry. Shape (n,).
        horizon: Any time above 0.
        censoring: From the training part.
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN where no finite slope exists, where (nearly) everyone has the same risk,
        and beyond the last supported time.
    """
    weights = checked_weights(times, weights)
    if horizon > last_supported_time(times, censoring):
        return np.full(len(weights), np.nan)
    x = cloglog(checked_risk(times, risk))
    case, known, x = _known(state_at(times, horizon, censoring, cause), weights, x)
    if not len(x) or np.ptp(x) < CONSTANT:
        return np.full(len(weights), np.nan)
    slopes = fit_line(case, x, np.zeros(len(x)), known, complementary_log_log)
    return np.where(separated(case, x, known), np.nan, slopes)


def calibration_intercept_at(
    times: Times,
    risk: np.ndarray,
    horizon: float,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Intercept a of cloglog P(event by h) = a + cloglog(risk), the slope held at 1; 0 is ideal.

    Above 0 the risk is underestimated. Equals `glm(case ~ offset(cloglog(risk)),
    quasibinomial("cloglog"), weights = 1/G)` of R to 6 digits. Arguments as for
    `calibration_slope_at`.
    """
    weights = checked_weights(times, weights)
    if horizon > last_supported_time(times, censoring):
        return np.full(len(weights), np.nan)
    risk = checked_risk(times, risk)
    case, known, x = _known(state_at(times, horizon, censoring, cause), weights, cloglog(risk))
    return fit_level(case, x, known, complementary_log_log)


def hazard_intercept(
    times: Times,
    cumulative_hazard: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Log of events over events expected during everyone's own follow-up; 0 is ideal.

    The intercept of a Poisson regression of the event with the log of the expected number as offset
    (Crowson et al. 2016). Equals `glm(event ~ offset(log(expected)), poisson)` of R to 6 digits.

    Args:
        times: Follow-up of n rows.
        cumulative_hazard: Predicted cumulative hazard from each row's entry to its exit. (n,).
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN without an event.
    """
    expected = checked_hazard(times, cumulative_hazard)
    weights = checked_weights(times, weights)
    quotient = ratio(weights @ (times.event == cause), weights @ expected)
    return np.log(np.where(quotient > 0, quotient, np.nan))


def hazard_slope(
    times: Times,
    cumulative_hazard: np.ndarray,
    log_hazard_ratio: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Slope of the event's log rate over a predicted log hazard ratio; 1 is ideal.

    Poisson regression of the event on the log hazard ratio with the log of the expected baseline
    number, log(H) − lp, as offset (Crowson et al. 2016). Equals `glm(event ~ lp +
    offset(log(expected) - lp), poisson)` of R to 6 digits.

    Args:
        times: Follow-up of n rows.
        cumulative_hazard: As for `hazard_intercept`.
        log_hazard_ratio: Shape (n,).
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws,); NaN where no finite slope exists or (nearly) everyone has one prediction.
    """
    expected = checked_hazard(times, cumulative_hazard)
    lp, weights = checked_score(times, log_hazard_ratio), checked_weights(times, weights)
    if np.ptp(lp) < CONSTANT:
        return np.full(len(weights), np.nan)
    event = (times.event == cause).astype(float)
    return fit_line(event, lp, np.log(np.maximum(expected, LIMIT)) - lp, weights, poisson)


def risk_bins(
    times: Times, risk: np.ndarray, horizon: float, bins: int = 10, *, cause: int = EVENT
) -> RiskBins:
    """Observed over predicted risk in bins of about equal size; equal risks are never split.

    Intervals on the scale of log(−log p) with `observed_risk_variance`; NaN where the observed risk
    is 0 or 1.

    Args:
        times: Follow-up of n rows.
        risk: Predicted probability of the event by the horizon, given entry. Shape (n,).
        horizon: Any time above 0.
        bins: How many at most.
        cause: Code of the event.
    """
    risk = checked_risk(times, risk)
    entered = times.entry < horizon
    times, risk = times.take(entered), risk[entered]
    edges = np.quantile(risk, np.arange(1, bins) / bins)
    _, member = np.unique(np.searchsorted(edges, risk, side="right"), return_inverse=True)
    count = np.bincount(member)
    weights = (member == np.arange(len(count))[:, None]).astype(float)
    observed = observed_risk(times, horizon, weights, cause=cause)
    groups = [times.take(member == number) for number in range(len(count))]
    variance = np.array([observed_risk_variance(group, horizon, cause) for group in groups])
    low, high = log_log_interval(observed, variance)
    return RiskBins(np.bincount(member, weights=risk) / count, observed, low, high, count)


def cloglog(risk: np.ndarray) -> np.ndarray:
    """log(−log(1 − risk)), finite also for 0 and 1."""
    return np.asarray(np.log(-np.log1p(-np.clip(risk, LIMIT, 1 - LIMIT))))


def _known(
    state: State, weights: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the rows whose state is known: the state, its weight in each draw, and x."""
    rows = np.flatnonzero(state.case | state.control)
    return state.case[rows].astype(float), weights[:, rows] * state.weight[rows].T, x[rows]
