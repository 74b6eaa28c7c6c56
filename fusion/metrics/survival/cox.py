"""Cox regression with a ridge penalty, by Newton's method."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import DataError
from fusion.metrics.survival.partial_likelihood import PartialLikelihood
from fusion.metrics.survival.times import EVENT, Times

STEPS = 100
TOLERANCE = 1e-9
HALVINGS = 20
LONGEST_STEP = 5.0  # in the linear predictor over the data: far from the optimum Newton overshoots
STEEPEST = 50.0  # range of the linear predictor from which on no finite fit is near
STEEPEST_PENALISED = 150.0  # a penalty makes it finite; from here on it is no number to rely on


@dataclasses.dataclass(frozen=True)
class CoxFit:
    """A fitted Cox model.

    Attributes:
        coefficients: Log hazard ratios. Shape (p,).
        covariance: Inverse of the penalised information. Shape (p, p).
        log_likelihood: Log partial likelihood at the coefficients, without the penalty.
        null: Log partial likelihood at coefficients of 0.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    log_likelihood: float
    null: float

    def linear_predictor(self, features: np.ndarray) -> np.ndarray:
        """Log hazard ratio of rows of features (n, p), 0 where all features are 0. Shape (n,)."""
        return np.asarray(np.asarray(features, dtype=float) @ self.coefficients)


def cox_ridge(
    times: Times,
    features: np.ndarray,
    penalty: float | np.ndarray = 0.0,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
) -> CoxFit:
    """Maximises log partial likelihood − ½ Σ penalty·β², ties by Efron, with delayed entry.

    Newton's method with step halving. Features are taken as they are: scale them first where one
    penalty is meant for all.

    Equals `coxph(Surv(entry, time, event) ~ ridge(x, theta = penalty, scale = FALSE), weights)` of
    R survival and, without penalty, coxph and statsmodels' `PHReg(ties="efron")` (where nobody
    enters at the time of an event): coefficients and standard errors to 6 digits.

    Args:
        times: Follow-up of n rows.
        features: Shape (n, p). Cost of a step: n·p² and p³.
        penalty: Not negative; one for all, or one a feature, (p,).
        weights: Case weights. Shape (n,).
        cause: Code of the event.

    Raises:
        DataError: Features are no finite matrix of n rows, nobody had the event, or without enough
            penalty no finite fit exists (a feature tells all events in advance, or two features
            tell the same).
    """
    x = np.asarray(features, dtype=float)
    if x.ndim != 2 or len(x) != len(times) or not np.isfinite(x).all():
        raise DataError(f"Cox regression needs a finite matrix of {len(times)} rows of features")
    likelihood = PartialLikelihood(times, weights, cause)
    centre = np.average(x, axis=0, weights=likelihood.weights)
    x = x - centre  # changes no hazard ratio, and keeps exponents small
    ridge = np.broadcast_to(np.asarray(penalty, dtype=float), x.shape[1:])
    beta = np.zeros(x.shape[1])
    null = likelihood.at(x @ beta).value
    value, reached = null, null
    for _ in range(STEPS):
        current = likelihood.at(x @ beta)
        gradient = x.T @ current.gradient - ridge * beta
        covariance = _inverse(information(likelihood, x, beta) + np.diag(ridge))
        step = covariance @ gradient
        step = step * min(1.0, LONGEST_STEP / max(float(np.ptp(x @ step)), LONGEST_STEP))
        for halving in range(HALVINGS):
            trial = beta + step / 2**halving
            value = likelihood.at(x @ trial).value
            penalised = value - float(ridge @ trial**2) / 2
            if penalised >= reached - TOLERANCE * abs(reached):
                break
        beta = trial
        if np.ptp(x @ beta) > (STEEPEST_PENALISED if ridge.all() else STEEPEST):
            break
        if abs(penalised - reached) <= TOLERANCE * abs(reached) and _still(step, covariance):
            covariance = _inverse(information(likelihood, x, beta) + np.diag(ridge))
            return CoxFit(beta, covariance, value, null)
        reached = penalised
    raise DataError(
        "Cox regression has no finite fit: a feature tells the order of all events; "
        "leave it out or raise the penalty"
    )


def information(likelihood: PartialLikelihood, x: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Observed information of the coefficients, without a penalty. Shape (p, p)."""
    hazard, denominator = likelihood.hazards(x @ beta)
    weight = likelihood.mean_weight / denominator
    means = likelihood.risk_sum(hazard[:, None] * x) / denominator[:, None]
    squares = x.T @ (x * (hazard * likelihood.exposure(weight))[:, None])
    return np.asarray(squares - means.T @ (means * likelihood.mean_weight[:, None]))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    try:
        found = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        found = np.full(matrix.shape, np.nan)
    if not (np.isfinite(found).all() and (np.diag(found) > 0).all()):
        raise DataError(
            "Cox regression has no single fit: a feature is constant or two tell the same; "
            "leave one out or raise the penalty"
        )
    return found


def _still(step: np.ndarray, covariance: np.ndarray) -> bool:
    """Whether a step is small beside the standard errors."""
    return bool((np.abs(step) <= 1e-6 * np.sqrt(np.diag(covariance))).all())
