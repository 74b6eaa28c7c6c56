"""DeLong's variance of correlated AUROCs, by midranks.

It takes models as fixed and test data as independent, which out-of-fold predictions of a
cross-validation are not, and its null distribution is invalid for nested models (Demler, Pencina &
D'Agostino 2012): reports print it as secondary.

Sources: DeLong, DeLong & Clarke-Pearson 1988; Sun & Xu 2014 for the form by midranks.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import norm, rankdata

from featurestore.errors import DataError
from fusion.metrics._weighted import validated

_NO_VARIANCE = 1e-15  # what rounding leaves of a variance of 0


@dataclasses.dataclass(frozen=True)
class DeLong:
    """AUROCs of k scores with their covariance.

    Attributes:
        auroc: Shape (k,).
        covariance: Shape (k, k).
    """

    auroc: np.ndarray
    covariance: np.ndarray

    def interval(self, k: int = 0, level: float = 0.95) -> tuple[float, float]:
        """Wald interval of one AUROC, cut at 0 and 1.

        A variance of 0 (perfect separation, or no ranking at all) gives NaN: an interval without
        width would claim certainty.
        """
        variance = self.covariance[k, k]
        if variance <= _NO_VARIANCE:
            return float("nan"), float("nan")
        half = norm.ppf((1 + level) / 2) * np.sqrt(variance)
        low, high = self.auroc[k] - half, self.auroc[k] + half
        return float(max(low, 0.0)), float(min(high, 1.0))

    def test(self, first: int, second: int) -> tuple[float, float]:
        """Z and two-sided p of the difference of two AUROCs; NaN for a variance of 0."""
        c = self.covariance
        variance = c[first, first] + c[second, second] - 2 * c[first, second]
        if variance <= _NO_VARIANCE:
            return float("nan"), float("nan")
        z = float((self.auroc[first] - self.auroc[second]) / np.sqrt(variance))
        return z, float(2 * norm.sf(abs(z)))


def delong(y: np.ndarray, scores: np.ndarray) -> DeLong:
    """Computes AUROCs of one or more scores of the same patients, and their covariance.

    Args:
        y: Outcomes, 0 or 1. Shape (n,).
        scores: Higher means more likely an event; one line a model. Shape (k, n) or (n,).

    Raises:
        DataError: A value is missing or not finite, or a class has fewer than two members.
    """
    lines = np.atleast_2d(np.asarray(scores, dtype=float))
    for line in lines:
        validated(y, line, None)
    is_event = np.asarray(y, dtype=float) == 1
    events, others = lines[:, is_event], lines[:, ~is_event]
    m, n = events.shape[1], others.shape[1]
    if m < 2 or n < 2:
        raise DataError(f"DeLong needs two events and two non-events, not {m} and {n}")
    ranks = rankdata(np.concatenate([events, others], axis=1), axis=1)
    v10 = (ranks[:, :m] - rankdata(events, axis=1)) / n
    v01 = 1 - (ranks[:, m:] - rankdata(others, axis=1)) / m
    covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return DeLong(v10.mean(axis=1), covariance)
