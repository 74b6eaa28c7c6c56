"""Intervals and tests by one bootstrap over patients whose draws all arms share.

Whole clusters are drawn: patients tied by copies of an image come together (Davison & Hinkley
1997, 3.8). Because every arm, metric and repeat is scored under the same draws, differences are
paired. A draw is a line of counts, so a metric is computed on all draws at once.

Draws in which a metric is not defined (one class only) are left out of its interval.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import beta
from scipy.stats import t as student_t

from featurestore.errors import DataError

LEVEL = 0.95
MIN_USABLE = 0.8
"""Share of draws that must define a metric for its interval to be printed."""
CHUNK_CELLS = 1_000_000  # weights held as float64 at once: 8 MB a matrix, small enough for caches


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where it is not defined.

    Attributes:
        value: The value.
        low: Lower end.
        high: Upper end.
        method: Which interval it is: `percentile` (bootstrap, models held fixed), `repeats` or
            `bound` (widened for training, see `fusion.metrics.cross_validated`), `exact`
            (binomial), `delong`, or empty where there is none or nobody said.
    """

    value: float
    low: float
    high: float
    method: str = ""

    def excludes(self, value: float) -> bool:
        """Whether the interval lies wholly on one side of `value`; an undefined one does not."""
        return self.low > value or self.high < value


def draw_weights(clusters: Sequence[str] | np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Draws clusters with replacement.

    Args:
        clusters: Cluster of each patient; the patients themselves where nothing ties them.
            Length n. Names matter, order does not: a cluster gets the same counts wherever its
            patients stand.
        draws: Number of draws.
        seed: Seed.

    Returns:
        How often each patient stands in each draw. Shape (draws, n), uint16, with the draws of one
        patient next to each other in memory.

    Raises:
        DataError: There is no patient.
    """
    names, member = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if not len(names):
        raise DataError("a bootstrap needs at least one patient")
    rng = np.random.default_rng(seed)
    counts = np.empty((len(names), draws), dtype=np.uint16)
    for draw in range(draws):
        drawn = rng.integers(len(names), size=len(names))
        counts[:, draw] = np.bincount(drawn, minlength=len(names))
    return counts[member].T


def in_chunks(weights: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the draws as float64 matrices small enough to compute with."""
    rows = max(1, CHUNK_CELLS // weights.shape[1])
    for start in range(0, len(weights), rows):
        yield weights[start : start + rows].astype(np.float64, order="K")


def percentile_interval(value: float, draws: np.ndarray) -> Estimate:
    """Percentile interval (Efron & Tibshirani 1993, ch. 13) of a metric or a paired difference.

    Args:
        value: The metric on the data.
        draws: The metric on each draw. Shape (draws,).

    Returns:
        Without bounds if fewer than `MIN_USABLE` of the draws define the metric.
    """
    kept = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(kept) or len(kept) < MIN_USABLE * len(draws):
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high), "percentile")


def interval(value: float, draws: np.ndarray, trials: int | None = None) -> Estimate:
    """Percentile interval of a metric that lies between 0 and 1 or has no bounds.

    A share of exactly 0 or 1 does not vary over draws, and an interval without width would claim
    certainty. It gets the exact binomial interval of Clopper & Pearson 1934 instead, whose other
    end lies `1 - 0.025^(1/trials)` away. For AUROC the trials are independent pairs of an event
    and a non-event, of which there are as many as the rarer class has members: a conservative
    answer to the problem of Obuchowski & Lieber 2002. Where no number of trials is known, there
    are no bounds.

    Args:
        value: The metric on the data.
        draws: The metric on each draw. Shape (draws,).
        trials: Independent trials that a share counts; see `metrics.Metric.trials`.
    """
    found = percentile_interval(value, draws)
    if value not in (0.0, 1.0) or found.low < found.high or np.isnan(found.low):
        return found
    if not trials:
        return Estimate(float(value), float("nan"), float("nan"))
    bound = float(beta.ppf((1 - LEVEL) / 2, trials, 1))
    low, high = (bound, 1.0) if value == 1 else (0.0, 1 - bound)
    return Estimate(float(value), low, high, "exact")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(np.isfinite(p))
    ranked = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    scaled = p[ranked] * np.arange(len(ranked), 0, -1)
    adjusted[ranked] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]


def corrected_half_width(differences: np.ndarray, test_share: float) -> float:
    """Half width of the 95 % interval of a mean difference over the folds of all repeats.

    The variance of the mean over k·r folds is inflated from 1/(k·r) to 1/(k·r) + n_test/n_train,
    because training sets overlap (Nadeau & Bengio 2003; for repeated cross-validation Bouckaert &
    Frank 2004).

    Args:
        differences: Difference of a metric on each fold. Shape (k·r,).
        test_share: n_test / n_train.

    Returns:
        NaN with fewer than three folds.
    """
    kept = differences[np.isfinite(differences)]
    if len(kept) < 3:
        return float("nan")
    variance = np.var(kept, ddof=1) * (1 / len(kept) + test_share)
    return float(student_t.ppf((1 + LEVEL) / 2, len(kept) - 1) * np.sqrt(variance))
