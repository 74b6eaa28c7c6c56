"""Score test of proportional hazards: do log hazard ratios change with time."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import chi2

from fusion.metrics.survival._risk_sets import value_before
from fusion.metrics.survival.cox import CoxFit
from fusion.metrics.survival.kaplan_meier import kaplan_meier
from fusion.metrics.survival.partial_likelihood import PartialLikelihood
from fusion.metrics.survival.times import EVENT, Times


@dataclasses.dataclass(frozen=True)
class ProportionalHazards:
    """Tests of each feature and of all together.

    Attributes:
        chi2: Of each feature, one degree of freedom. Shape (p,).
        p: Of each feature. Shape (p,).
        global_chi2: Of all, p degrees of freedom.
        global_p: Of all.
    """

    chi2: np.ndarray
    p: np.ndarray
    global_chi2: float
    global_p: float


def proportional_hazards(
    times: Times, features: np.ndarray, fit: CoxFit, *, cause: int = EVENT
) -> ProportionalHazards:
    """Score test that no log hazard ratio changes with 1 − Kaplan–Meier of time.

    Source: Grambsch & Therneau 1994, with the information at each event time instead of its mean
    (survival 3.0 and later). Equals `cox.zph(coxph(...), transform = "km")` of R survival to 6
    digits, if the fit has no penalty.

    Args:
        times: Follow-up of n rows.
        features: What the model was fitted to, (n, p). Memory: n·p².
        fit: The unpenalised fit.
        cause: Code of the event.
    """
    x = np.asarray(features, dtype=float)
    x = x - x.mean(axis=0)
    likelihood = PartialLikelihood(times, None, cause)
    hazard, denominator = likelihood.hazards(x @ fit.coefficients)
    p = x.shape[1]
    means = likelihood.risk_sum(hazard[:, None] * x) / denominator[:, None]
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), p * p)
    squares = likelihood.risk_sum(hazard[:, None] * products) / denominator[:, None]
    spread = squares.reshape(-1, p, p) - means[:, :, None] * means[:, None, :]
    curve = kaplan_meier(times.cause_specific(cause))
    clock = 1 - value_before(curve.time, curve.value, likelihood.grid[likelihood.term], 1.0)
    by_time = np.argsort(times.time[likelihood.events], kind="stable")
    score = clock @ (x[likelihood.events[by_time]] - means)
    plain, once, twice = (np.tensordot(clock**k, spread, axes=1) for k in (0, 1, 2))
    left = np.linalg.solve(plain, once)
    remaining = twice - once @ left
    # One feature alone: the others' changes are held at 0, all log hazard ratios are free.
    single = score**2 / np.diag(remaining)
    together = float(score @ np.linalg.solve(remaining, score))
    return ProportionalHazards(single, chi2.sf(single, 1), together, float(chi2.sf(together, p)))
