"""Risk groups, cut on inner scores and never on the outer test part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.ledger import witness

THIRDS = (1 / 3, 2 / 3)
"""Quantiles of the inner scores that make three groups of about the same size."""


def cut_points(
    patient_ids: np.ndarray, score: np.ndarray, quantiles: Sequence[float] | None = None
) -> np.ndarray:
    """Log hazard ratios at which groups begin, by quantiles of inner scores.

    Args:
        patient_ids: Patients of the outer training part. Shape (p,).
        score: Their log hazard ratios by fits that had not seen them. Shape (p,).
        quantiles: Between 0 and 1; thirds by default.

    Returns:
        Ascending; shape (groups − 1,).
    """
    witness("risk groups", "selected on", patient_ids)
    wanted = np.sort(np.asarray(THIRDS if quantiles is None else quantiles, dtype=float))
    return np.asarray(np.quantile(score, wanted))


def groups_of(score: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Group of each score, 0 the lowest risk: how many cut points lie below it. int64 (n,)."""
    return np.searchsorted(cuts, score, side="left").astype(np.int64)
