"""Log odds, and the one score that several rows of a patient make."""

from __future__ import annotations

import numpy as np

LOGIT_LIMIT = 1e-6  # probabilities are kept this far from 0 and 1 when their logit is taken


def logit(probability: np.ndarray) -> np.ndarray:
    """Log odds, finite also for 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=float), LOGIT_LIMIT, 1 - LOGIT_LIMIT)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(score: np.ndarray) -> np.ndarray:
    """Inverse of `logit`."""
    found = np.array(score, dtype=float)
    to_probabilities(found)
    return found


def to_probabilities(scores: np.ndarray) -> None:
    """`sigmoid` in place; NumPy's exponential is vectorised, SciPy's `expit` is not."""
    np.negative(scores, out=scores)
    with np.errstate(over="ignore"):  # far below it is 0
        np.exp(scores, out=scores)
    scores += 1
    np.reciprocal(scores, out=scores)


def by_patient(
    patient_ids: np.ndarray, y: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Averages the logits of each patient's rows.

    Returns:
        Sorted patient ids, their outcome, and their mean logit; shape (patients,) each.
    """
    ids, first, inverse, counts = np.unique(
        patient_ids.astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    return ids, y[first], mean_logits(probability, inverse, counts)


def mean_logits(probability: np.ndarray, patient: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean logit of each patient's rows; shape (patients,).

    Args:
        probability: Of each row. Shape (n,).
        patient: Place of each row's patient. Shape (n,).
        counts: Rows of each patient. Shape (patients,).
    """
    total = np.bincount(patient, weights=logit(probability), minlength=len(counts))
    return np.asarray(total / counts)
