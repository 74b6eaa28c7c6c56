"""Cumulative incidence of one cause among competing ones by Aalen and Johansen."""

from __future__ import annotations

import numpy as np

from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_weights
from fusion.metrics.survival._risk_sets import RiskSets, risk_sets, share, value_at
from fusion.metrics.survival.kaplan_meier import log_log_interval
from fusion.metrics.survival.step_curve import StepCurve
from fusion.metrics.survival.times import EVENT, Times


def cumulative_incidence(times: Times, cause: int = EVENT) -> StepCurve:
    """Probability of an event of one cause by each time, with delayed entry.

    Without competing events it is 1 − Kaplan–Meier. Competing events are not censored: censoring
    them would answer what would happen in a world without them.

    Source: Aalen & Johansen 1978; variance of Greenwood's type, with the binomial covariance of
    hazards at one time (Andersen et al. 1993, 4.4; Marubini & Valsecchi 1995, 10.3.2); interval on
    the scale of log(−log F).

    Equals `survfit(Surv(time, factor(event)) ~ 1, conf.type = "log-log")` of R survival to 10
    digits, value, standard error and interval, and the value of `cmprsk::cuminc`.
    """
    sets = risk_sets(times, np.ones((1, len(times))), cause)
    before, incidence = _curves(sets)
    at_risk, ended, events = sets.at_risk[:, 0], sets.ended[:, 0], sets.events[:, 0]
    u, f = before[:, 0], incidence[:, 0]
    # Var F(t) = Σ u²·Var(a_k) − 2·u·(F(t) − F)·d_k/Y² + (F(t) − F)²·d/(Y(Y − d)), sums up to t,
    # multiplied out in powers of F(t). Where Y = d nothing follows and F(t) = F.
    own = u**2 * events * (at_risk - events) / at_risk**3
    cross = u * events / at_risk**2
    all_causes = np.where(at_risk > ended, ratio(ended, at_risk * (at_risk - ended)), 0.0)
    variance = (
        np.cumsum(own + 2 * cross * f + all_causes * f**2)
        - 2 * f * np.cumsum(cross + all_causes * f)
        + f**2 * np.cumsum(all_causes)
    )
    variance = np.maximum(variance, 0.0)
    low, high = log_log_interval(f, variance)
    nothing = f == 0
    return StepCurve(
        sets.time,
        at_risk,
        events,
        f,
        variance,
        low=np.where(nothing, 0.0, low),
        high=np.where(nothing, 0.0, high),
        start=0.0,
        complete=bool(sets.left[-1, 0] == sets.ended[-1, 0]),
    )


def incidence_at(
    times: Times,
    horizons: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> np.ndarray:
    """Cumulative incidence at each horizon, for all draws at once; as `survival_at`.

    Args:
        times: Follow-up of n rows.
        horizons: Shape (horizons,).
        weights: Shape (draws, n).
        cause: Code of the event.

    Returns:
        Shape (draws, horizons).
    """
    sets = risk_sets(times, checked_weights(times, weights), cause)
    _, incidence = _curves(sets)
    return value_at(sets.time, incidence, np.asarray(horizons, dtype=float), 0.0).T


def _curves(sets: RiskSets) -> tuple[np.ndarray, np.ndarray]:
    """Probability of no event just before each time, and the incidence from it on; (m, draws)."""
    survival = np.cumprod(1 - share(sets.ended, sets.at_risk), axis=0)
    before = np.concatenate([np.ones((1, survival.shape[1])), survival[:-1]])
    return before, np.cumsum(before * share(sets.events, sets.at_risk), axis=0)
