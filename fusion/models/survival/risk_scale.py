"""Scores to log hazard ratios and risks, fitted on inner out-of-fold scores only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from fusion.ledger import witness
from fusion.metrics.survival import (
    EVENT,
    Baseline,
    PartialLikelihood,
    Times,
    baseline_hazard,
    cox_ridge,
)
from fusion.models.survival.patients import COMPETING

CONSTANT = 1e-9
"""Range of scores below which all are the same but for rounding."""

SLOPES = (1e-2, 5.0)
"""Least and largest slope over a standardised score: scaling never reverses or erases a ranking."""

COMPETING_PENALTY = 1.0
"""Ridge penalty of the slope of competing hazards over a standardised score: as good as one event
that says there is none."""


@dataclasses.dataclass(frozen=True)
class RiskScale:
    """What a score means: log hazard ratio = slope × (score − centre), and baseline hazards.

    Attributes:
        centre: Score of the mean training patient.
        slope: Of the event's log hazard; 0 where scores say nothing.
        competing_slope: Change of the log hazard of a competing event with one unit of the log
            hazard ratio; 0 without competing events.
        baselines: Cumulative hazards at a log hazard ratio of 0: of the event, then of competing
            events where there are any.
    """

    centre: float
    slope: float
    competing_slope: float
    baselines: tuple[Baseline, ...]

    def log_hazard_ratio(self, score: np.ndarray) -> np.ndarray:
        """Log hazard ratio of each score against the mean training patient; shape (n,)."""
        return (
            np.asarray(self.slope * (score - self.centre)) if self.slope else np.zeros(len(score))
        )

    def risk(
        self, log_hazard_ratio: np.ndarray, horizons: np.ndarray, entry: np.ndarray
    ) -> np.ndarray:
        """Probability of the event by each horizon for who was free of it at entry.

        With competing events a cumulative incidence.

        Args:
            log_hazard_ratio: Shape (n,).
            horizons: Days since time zero. Shape (horizons,).
            entry: Days until which each row is known to be free of any event. Shape (n,).

        Returns:
            Shape (n, horizons); NaN beyond the last time anyone was followed.
        """
        if len(self.baselines) == 1:
            return self.baselines[0].risk(log_hazard_ratio, horizons, entry)
        both = [log_hazard_ratio, self.competing_slope * log_hazard_ratio]
        return incidence(self.baselines, both, horizons, entry)

    def record(self) -> dict[str, Any]:
        """What was fitted, as plain JSON; of baselines only how long they are known."""
        found = {"centre": self.centre, "slope": self.slope, "known_until": self.baselines[0].last}
        if len(self.baselines) > 1:
            found["competing_slope"] = self.competing_slope
        return found


def fit_risk_scale(patient_ids: np.ndarray, times: Times, score: np.ndarray) -> RiskScale:
    """Fits slope and baseline hazards to out-of-fold scores.

    The slope is what maximises the partial likelihood of the event (the recalibration of van
    Houwelingen 2000): a model that is too sure is pulled towards the mean. Baselines are Breslow's
    with Efron's ties and delayed entry. The hazard of competing events may depend on the same
    score, by a slope of its own and of either sign (Benichou & Gail 1990 put both together).

    Args:
        patient_ids: Patients of the outer training part. Shape (p,).
        times: Their follow-up.
        score: Scores by fits that had not seen them. Shape (p,).

    Raises:
        DataError: Nobody had the event.
    """
    witness("risk scale", "fitted on", patient_ids)
    witness("baseline hazard", "fitted on", patient_ids)
    centre, spread = float(np.mean(score)), float(np.std(score))
    z = np.zeros(len(score))
    slope = 0.0
    if np.ptp(score) >= CONSTANT:
        z = (score - centre) / spread
        likelihood = PartialLikelihood(times)
        found = minimize_scalar(
            lambda b: -likelihood.at(b * z).value, bounds=SLOPES, method="bounded"
        )
        slope = float(found.x) / spread
    lp = slope * (score - centre) if slope else z
    baselines = [baseline_hazard(times, lp)]
    competing_slope = 0.0
    if (times.event > EVENT).any():
        if slope:
            other = cox_ridge(times, z[:, None], COMPETING_PENALTY, cause=COMPETING)
            competing_slope = float(other.coefficients[0]) / (slope * spread)
        baselines.append(baseline_hazard(times, competing_slope * lp, cause=COMPETING))
    return RiskScale(centre, slope, competing_slope, tuple(baselines))


def incidence(
    baselines: Sequence[Baseline],
    log_hazard_ratios: Sequence[np.ndarray],
    horizons: np.ndarray,
    entry: np.ndarray,
) -> np.ndarray:
    """Cumulative incidence of the first cause, F₁(h) = Σ S(u−)·(1 − e^−dΛ(u))·dΛ₁(u)/dΛ(u).

    `fusion.metrics.survival.cause_specific_risk` has S(u−)·dΛ₁(u), as is usual, and the two agree
    where steps are small. Of a patient at high risk in a small cohort, or where events are tied,
    they are not: dΛ alone then counts more risk than there is left. This one is 1 − e^−Λ₁ where
    nothing competes. Memory: patients · event times.

    Args:
        baselines: One a cause, the event first.
        log_hazard_ratios: One a cause, shape (n,) each.
        horizons: Shape (horizons,).
        entry: Days until which each row is known to be free of any event. Shape (n,).

    Returns:
        Shape (n, horizons); NaN beyond the last time of any baseline.
    """
    grid = np.unique(np.concatenate([baseline.time for baseline in baselines]))
    steps = [
        np.diff(b.at(np.minimum(grid, b.last)), prepend=0.0) * np.exp(lp)[:, None]
        for b, lp in zip(baselines, log_hazard_ratios, strict=True)
    ]
    after = grid > entry[:, None]
    total = np.sum(steps, axis=0) * after
    share = np.divide(steps[0], total, out=np.zeros_like(total), where=total > 0)
    before = np.exp(-(np.cumsum(total, axis=1) - total))
    gained = np.cumsum(before * -np.expm1(-total) * share, axis=1)
    whole = np.concatenate([np.zeros((len(entry), 1)), gained], axis=1)
    risk = whole[:, np.searchsorted(grid, horizons, side="right")]
    beyond = horizons > min(baseline.last for baseline in baselines)
    return np.where(beyond, np.nan, np.minimum(risk, 1.0))
