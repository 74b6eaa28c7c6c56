"""Cumulative baseline hazards, and the risks they give at horizons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fusion.metrics.survival._risk_sets import value_at
from fusion.metrics.survival.partial_likelihood import PartialLikelihood
from fusion.metrics.survival.times import EVENT, Times


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Cumulative hazard of a row whose log hazard ratio is 0.

    Attributes:
        time: Distinct event times, ascending. Shape (m,).
        hazard: Cumulative hazard from that time on. Shape (m,).
        last: Last time anyone was under observation; beyond it nothing is known.
    """

    time: np.ndarray
    hazard: np.ndarray
    last: float

    def at(self, t: np.ndarray) -> np.ndarray:
        """Cumulative hazard at each time; NaN beyond `last`."""
        t = np.asarray(t, dtype=float)
        found = value_at(self.time, self.hazard, t, 0.0)
        return np.where(t > self.last, np.nan, found)

    def risk(
        self,
        log_hazard_ratio: np.ndarray,
        horizons: np.ndarray,
        entry: np.ndarray | None = None,
    ) -> np.ndarray:
        """Probability of the event by each horizon, 1 − exp(−H₀·e^lp).

        Equals `1 - summary(survfit(coxph(...), newdata), times = horizons)$surv` of R survival to 8
        digits.

        Args:
            log_hazard_ratio: Shape (n,).
            horizons: Shape (horizons,).
            entry: Time until which each row is known to be free of the event, (n,): the risk is
                that of the time in between, 0 where nothing lies in between.

        Returns:
            Shape (n, horizons); NaN beyond `last`.
        """
        hazard = np.broadcast_to(
            self.at(np.asarray(horizons)), (len(log_hazard_ratio), len(horizons))
        )
        if entry is not None:
            hazard = np.maximum(hazard - self.at(np.asarray(entry))[:, None], 0.0)
        return np.asarray(-np.expm1(-hazard * np.exp(np.asarray(log_hazard_ratio))[:, None]))


def baseline_hazard(
    times: Times,
    log_hazard_ratio: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> Baseline:
    """Breslow's estimate with Efron's ties, risk sets with delayed entry.

    Equals `basehaz(coxph(..., ties = "efron"), centered = FALSE)` of R survival to 8 digits.

    Args:
        times: Follow-up of n rows.
        log_hazard_ratio: Shape (n,).
        weights: Case weights. Shape (n,).
        cause: Code of the event; others are censored.

    Raises:
        DataError: Nobody had the event.
    """
    eta = np.asarray(log_hazard_ratio, dtype=float)
    likelihood = PartialLikelihood(times, weights, cause)
    _, denominator = likelihood.hazards(eta)
    steps = np.bincount(likelihood.term, likelihood.mean_weight / denominator)
    hazard = np.cumsum(steps) * np.exp(-eta.max())
    return Baseline(likelihood.grid, hazard, float(times.time.max()))


def cause_specific_risk(
    baselines: Sequence[Baseline],
    log_hazard_ratios: Sequence[np.ndarray],
    horizons: np.ndarray,
    entry: np.ndarray | None = None,
) -> np.ndarray:
    """Cumulative incidence of the first of several causes from their cause-specific hazards.

    F₁(h) = Σ S(u−)·dΛ₁(u) with S = exp(−Σ Λ) (Benichou & Gail 1990). Equals
    `predictRisk(riskRegression::CSC(...))` to 6 digits. Memory: rows · event times.

    Args:
        baselines: One a cause, the cause of interest first.
        log_hazard_ratios: One a cause, shape (n,) each.
        horizons: Shape (horizons,).
        entry: As for `Baseline.risk`. Shape (n,).

    Returns:
        Shape (n, horizons); NaN beyond the last time of any baseline.
    """
    horizons = np.asarray(horizons, dtype=float)
    grid = np.unique(np.concatenate([baseline.time for baseline in baselines]))
    total, first = 0.0, np.zeros(0)
    for number, (baseline, eta) in enumerate(zip(baselines, log_hazard_ratios, strict=True)):
        steps = np.diff(value_at(baseline.time, baseline.hazard, grid, 0.0), prepend=0.0)
        hazards = np.exp(np.asarray(eta, dtype=float))[:, None] * steps
        if entry is not None:
            hazards *= grid > np.asarray(entry)[:, None]
        total = total + hazards
        first = hazards if number == 0 else first
    before = np.exp(-(np.cumsum(total, axis=1) - total))
    incidence = np.cumsum(before * first, axis=1)
    risk = value_at(grid, incidence.T, horizons, 0.0).T
    last = min(baseline.last for baseline in baselines)
    return np.where(horizons > last, np.nan, np.minimum(risk, 1.0))
