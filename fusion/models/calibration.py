"""Scores to probabilities, fitted on inner out-of-fold scores only.

A new way is one function that fits it and one line in `CALIBRATIONS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression, minimize, minimize_scalar

from fusion.ledger import witness
from fusion.metrics import by_patient, sigmoid
from fusion.models.base import InnerPredictions

MIN_SLOPE = 1e-2
"""Least slope over a standardised score: calibration never reverses or erases a ranking."""


@dataclasses.dataclass(frozen=True)
class PlattScaling:
    """Probability = sigmoid(slope × score + intercept) (Platt 1999).

    Attributes:
        slope: Always positive.
        intercept: Log odds at score 0.
    """

    slope: float
    intercept: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of each score; shape (n,)."""
        return sigmoid(np.clip(self.slope * score + self.intercept, -30.0, 30.0))


def fit_platt(score: np.ndarray, y: np.ndarray, weights: np.ndarray) -> PlattScaling:
    """Fits by weighted maximum likelihood with Platt's smoothed targets.

    The targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2) keep the slope finite where the scores
    separate the classes.

    Args:
        score: Out-of-fold scores; shape (n,).
        y: Outcomes, 0 or 1; shape (n,).
        weights: Weight of each row; shape (n,).
    """
    share = weights / weights.sum()
    centre = float(share @ score)
    spread = float(np.sqrt(share @ (score - centre) ** 2)) or 1.0
    z = (score - centre) / spread
    events = float(weights @ (y == 1))
    others = float(weights @ (y == 0))
    target = np.where(y == 1, (events + 1) / (events + 2), 1 / (others + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = parameters[0] * z + parameters[1]
        residual = share * (sigmoid(logits) - target)
        value = share @ (np.logaddexp(0.0, logits) - target * logits)
        return float(value), np.array([residual @ z, residual.sum()])

    prevalence = float(share @ target)
    start = np.array([1.0, np.log(prevalence / (1 - prevalence))])
    fitted = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(MIN_SLOPE, 50.0), (-30.0, 30.0)]
    ).x
    slope = float(fitted[0]) / spread
    return PlattScaling(slope, float(fitted[1]) - slope * centre)


def cross_fitted_platt(
    score: np.ndarray, y: np.ndarray, weights: np.ndarray, folds: Sequence[np.ndarray]
) -> np.ndarray:
    """Probability of each row by a scaling fitted on the other inner folds.

    Args:
        score: Out-of-fold scores; shape (n,).
        y: Outcomes, 0 or 1; shape (n,).
        weights: Weight of each row; shape (n,).
        folds: Integer rows of each inner fold; together all rows.
    """
    probability = np.empty(len(score))
    for rows in folds:
        others = np.setdiff1d(np.arange(len(score)), rows)
        probability[rows] = fit_platt(score[others], y[others], weights[others])(score[rows])
    return probability


@dataclasses.dataclass(frozen=True)
class Uncalibrated:
    """Probability = sigmoid(score): what the model says."""

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of each score; shape (n,)."""
        return sigmoid(score)


@dataclasses.dataclass(frozen=True)
class TemperatureScaling:
    """Probability = sigmoid(score / temperature) (Guo et al. 2017)."""

    temperature: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of each score; shape (n,)."""
        return sigmoid(score / self.temperature)


@dataclasses.dataclass(frozen=True)
class IsotonicScaling:
    """Piecewise linear and never falling (Zadrozny & Elkan 2002).

    Scores that share a step become ties, so ranks can be lost.

    Attributes:
        scores: Ascending; shape (k,).
        probabilities: Of them, strictly between 0 and 1; shape (k,).
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of each score; constant beyond the ends; shape (n,)."""
        return np.interp(score, self.scores, self.probabilities)


Calibration = Uncalibrated | PlattScaling | TemperatureScaling | IsotonicScaling


def fit_uncalibrated(score: np.ndarray, y: np.ndarray) -> Uncalibrated:
    """Learns nothing."""
    return Uncalibrated()


def fit_temperature(score: np.ndarray, y: np.ndarray) -> TemperatureScaling:
    """Fits the temperature by maximum likelihood within 1/20 and 20.

    Args:
        score: Out-of-fold log odds; shape (n,).
        y: Outcomes, 0 or 1; shape (n,).
    """

    def loss(log_temperature: float) -> float:
        logits = score / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, logits) - y * logits))

    bound = float(np.log(20.0))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x
    return TemperatureScaling(float(np.exp(found)))


def fit_isotonic(score: np.ndarray, y: np.ndarray) -> IsotonicScaling:
    """Fits steps by pooling adjacent violators, and keeps them off 0 and 1.

    The lowest and the highest step are pulled in by half an observation, as (events + 1/2) /
    (patients + 1), because nobody's risk is certain; nothing lies beyond them.

    Args:
        score: Out-of-fold log odds; shape (n,).
        y: Outcomes, 0 or 1; shape (n,).
    """
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    share = np.bincount(inverse, weights=y) / counts
    steps = isotonic_regression(share, weights=counts).x
    sizes = [float(counts[steps == end].sum()) for end in (steps[0], steps[-1])]
    low, high = ((end * n + 0.5) / (n + 1) for end, n in zip(steps[[0, -1]], sizes, strict=True))
    return IsotonicScaling(tuple(values), tuple(np.clip(steps, low, max(low, high))))


CALIBRATIONS: dict[str, Callable[[np.ndarray, np.ndarray], Calibration]] = {
    "none": fit_uncalibrated,
    "platt": lambda score, y: fit_platt(score, y, np.ones(len(y))),
    "temperature": fit_temperature,
    "isotonic": fit_isotonic,
}
"""By name: fits patients' out-of-fold scores, shape (n,), to their outcomes."""


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A fitted calibration and what it makes of the predictions it was fitted on.

    Attributes:
        method: Key of `CALIBRATIONS`.
        fitted: From scores to probabilities.
        inner: The inner patients with calibrated probabilities.
    """

    method: str
    fitted: Calibration
    inner: InnerPredictions


def calibrate(inner: InnerPredictions, method: str) -> Calibrated:
    """Fits a calibration on inner predictions, a patient at a time.

    Args:
        inner: Predictions on training patients by fits that had not seen them.
        method: Key of `CALIBRATIONS`.
    """
    patients, y, score = by_patient(inner.patient_ids, inner.y, inner.probability)
    if method != "none":
        witness("calibration", "fitted on", patients)
    fitted = CALIBRATIONS[method](score, y)
    return Calibrated(method, fitted, InnerPredictions(patients, y, fitted(score)))


def calibration_record(calibration: Calibration) -> dict[str, Any]:
    """What was fitted, as plain JSON; of steps only their number."""
    if isinstance(calibration, IsotonicScaling):
        return {"steps": len(set(calibration.probabilities))}
    return dataclasses.asdict(calibration)


AS_GIVEN = "as the models give them"
"""What probabilities are where nothing is calibrated."""


def calibration_text(fits: Iterable[Mapping[str, Any]]) -> str:
    """How scores became probabilities, in words.

    Args:
        fits: Records of `choices.json`.
    """
    used = {str(fit["calibration"]["method"]) for fit in fits if "calibration" in fit}
    if used <= {"none"}:
        return AS_GIVEN
    words = " and ".join(sorted(used - {"none"}))
    some = " (where sampling moved them)" if "none" in used else ""
    return f"calibrated by {words}{some} on inner predictions of the same fold"
