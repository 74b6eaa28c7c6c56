"""Intervals and tests of cross-validated metrics that know that their models were trained.

The bootstrap of out-of-fold predictions holds the fitted models fixed. But each patient is tested
once and trains the models of all other folds, so the errors of the folds go together: at an AUROC
of one half the variance is up to twice what that bootstrap sees (Bengio & Grandvalet 2004).

Write a metric as a mean of what each patient adds to it. Part of that depends on who the model was
trained on, to second order through pairs: how much training patient j moves what test patient i
adds. Every pair of patients of two folds counts twice, once with either of them in training, so
this part enters the variance twice where the bootstrap counts it once. Its size is seen where
folds are drawn anew: with K folds a pair is in one fold, and does not train, in a share 1/K of the
repeats. So the variance between repeats of what a patient adds, W, is 1/K · (1 - 1/K) parts of the
whole, of which the mean over R repeats keeps (1 - 1/K)² + 1/K · (1 - 1/K) / R:

    variance = bootstrap variance + W · (K - 1 + 1/R).

W is the variance between repeats under the same draws, averaged over draws. Where learning is not
symmetric in pairs (or random), the sum errs to the wide side. The second part is at most equal to
the first; its estimate is cut off a little above, at `MOST` times the first, because cut off at the
first itself it would be too small on average where both are equal. With one repeat W is unknown and
the bound, twice the bootstrap variance, holds. Widened errors take their quantiles from Student's t
with as many degrees of freedom as the rarer class has independent members, less one.
`docs/intervals.md` has the coverage that simulations of whole pipelines found.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student_t

from fusion.metrics.bootstrap import LEVEL, MIN_USABLE, Estimate, interval

NORMAL = float(norm.ppf((1 + LEVEL) / 2))
NOTHING = 1e-24
"""Variance below which draws differ by rounding only."""

MOST = 1.25
"""Of the bootstrap's variance, what training may seem to add. Simulated with 1, without signal an
interval of two or three repeats covers 92 to 94 %; 1.2 and 1.3 do as well as this."""

Method = Literal["percentile", "repeats", "bound"]


@dataclasses.dataclass(frozen=True)
class Spread:
    """How far a metric scatters over studies.

    Attributes:
        sampling: Variance that the bootstrap sees, with the fitted models held fixed.
        training: Variance that comes on top because patients of one fold train the models of the
            others.
        method: Where `training` is from: `percentile`, it is 0 because models and test patients
            are independent; `repeats`, it is estimated from what repeats differ in; `bound`, it is
            the most that it can be.
        units: Independent members of the rarer class, that is clusters.
    """

    sampling: float
    training: float
    method: Method
    units: int

    @property
    def error(self) -> float:
        """Standard error."""
        return float(np.sqrt(self.sampling + self.training))

    @property
    def quantile(self) -> float:
        """Half the width of the 95 % interval in standard errors; NaN without two units."""
        if self.method == "percentile":
            return NORMAL
        if self.units < 2:
            return float("nan")
        return float(student_t.ppf((1 + LEVEL) / 2, self.units - 1))

    @property
    def stretch(self) -> float:
        """Width of the interval in multiples of that of the bootstrap."""
        if self.sampling == 0:
            return 1.0
        return self.error / float(np.sqrt(self.sampling)) * self.quantile / NORMAL

    def p(self, value: float) -> float:
        """Two-sided p of a value that is 0 under the null hypothesis; NaN without an error."""
        if not self.error > 0 or np.isnan(self.quantile):
            return float("nan")
        deviate = abs(value) / self.error
        if self.method == "percentile":
            return float(2 * norm.sf(deviate))
        return float(2 * student_t.sf(deviate, self.units - 1))


def independent_units(y: np.ndarray, clusters: np.ndarray) -> int:
    """Counts the clusters of the rarer class.

    Args:
        y: Outcomes, 0.0 or 1.0. Shape (n,).
        clusters: Cluster of each patient. Shape (n,).
    """
    return min(len(np.unique(clusters[y == outcome])) for outcome in (0.0, 1.0))


def spread(values: np.ndarray, draws: np.ndarray, folds: int, units: int) -> Spread:
    """Variance of the mean of a metric over repeats of a cross-validation.

    Args:
        values: The metric on the pooled out-of-fold predictions of each repeat. Shape (repeats,).
        draws: The same on draws of patients that all repeats share. Shape (repeats, draws).
        folds: Folds of a repeat; 1 where models were not trained on any of the patients, or where
            folds share no outcomes.
        units: Independent members of the rarer class.

    Returns:
        NaN where too few draws define the metric.
    """
    defined = np.isfinite(draws).all(axis=0)
    method: Method = "percentile" if folds < 2 else "repeats" if len(draws) > 1 else "bound"
    if not np.isfinite(values).all() or defined.sum() < max(2, MIN_USABLE * draws.shape[1]):
        return Spread(float("nan"), float("nan"), method, units)
    errors = draws[:, defined] - values[:, None]
    sampling = float(np.var(errors.mean(axis=0), ddof=1))
    if sampling < NOTHING:
        return Spread(0.0, 0.0, method, units)
    if method == "percentile":
        return Spread(sampling, 0.0, method, units)
    if method == "bound":
        return Spread(sampling, sampling, method, units)
    between = float(np.var(errors, axis=0, ddof=1).mean())
    training = between * (folds - 1 + 1 / len(draws))
    return Spread(sampling, min(MOST * sampling, training), method, units)


def cross_validated_interval(
    values: np.ndarray,
    draws: np.ndarray,
    folds: int,
    units: int,
    trials: int | None = None,
    bounded: bool = False,
) -> Estimate:
    """Percentile interval of the mean over repeats, stretched around it by `Spread.stretch`.

    A metric between 0 and 1 is stretched on the scale of log odds and so stays between them. A
    value of exactly 0 or 1 whose draws vary has no log odds; it is stretched as it is and cut off.

    Args:
        values: As for `spread`.
        draws: As for `spread`.
        folds: As for `spread`.
        units: As for `spread`.
        trials: Independent trials of a share; see `bootstrap.interval`.
        bounded: Whether the metric lies between 0 and 1.
    """
    scatter = spread(values, draws, folds, units)
    found = interval(float(np.mean(values)), np.mean(draws, axis=0), trials)
    if found.method != "exact":
        found = dataclasses.replace(found, method=scatter.method)
    if found.method == "exact" or scatter.stretch == 1:
        return found
    if not np.isfinite(scatter.stretch):
        return dataclasses.replace(found, low=float("nan"), high=float("nan"))
    value, ends = np.array(found.value), np.array([found.low, found.high])
    if bounded and 0 < found.value < 1:
        with np.errstate(divide="ignore"):  # an end at 0 or 1 stays there
            ends = expit(stretched(logit(value), logit(ends), scatter.stretch))
    else:
        ends = stretched(value, ends, scatter.stretch)
        ends = np.clip(ends, 0, 1) if bounded else ends
    return dataclasses.replace(found, low=float(ends[0]), high=float(ends[1]))


def moved(found: Estimate, value: float, trials: int | None) -> Estimate:
    """The interval of one AUROC around another of the same predictions, on the scale of log odds.

    Pooled and fold-averaged AUROC scatter alike (`docs/intervals.md`), and folds are too small to
    say how each would.

    Args:
        found: The one that has an interval.
        value: The other; 0 or 1 gets the exact interval, NaN none.
        trials: See `bootstrap.interval`.
    """
    if not 0 < value < 1:
        return interval(value, np.full(1, value), trials)
    if not 0 < found.value < 1:
        return Estimate(value, found.low, found.high, found.method)
    with np.errstate(divide="ignore"):  # an end at 0 or 1 stays there
        shift = logit(value) - logit(found.value)
        low, high = (float(expit(logit(end) + shift)) for end in (found.low, found.high))
    return Estimate(value, low, high, found.method)


def stretched(value: np.ndarray, end: np.ndarray, stretch: float) -> np.ndarray:
    """Moves ends of intervals away from the values."""
    return np.asarray(value + stretch * (end - value))


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """A paired difference and its p, which are two readings of one standard error.

    Attributes:
        estimate: The difference; its 95 % interval excludes 0 where p is below 0.05.
        p: Two-sided.
    """

    estimate: Estimate
    p: float


def paired_difference(values: np.ndarray, draws: np.ndarray, folds: int, units: int) -> PairedTest:
    """Difference of two arms, tested by its widened standard error.

    The p is that of a t (or normal) deviate and not a count of draws: it does not end at
    2 / (draws + 1), which times the tests of Holm's family may be all that a table can show.

    Args:
        values: Difference in each repeat. Shape (repeats,).
        draws: The same under shared draws. Shape (repeats, draws).
        folds: As for `spread`.
        units: As for `spread`.

    Returns:
        0 with p 1 for arms that never differ; without interval and p where a difference does not
        vary over draws, as between a perfect arm and a constant one.
    """
    scatter = spread(values, draws, folds, units)
    value, error = float(np.mean(values)), scatter.error
    if value == 0 and error == 0:
        return PairedTest(Estimate(0.0, 0.0, 0.0, scatter.method), 1.0)
    half = scatter.quantile * error
    if not np.isfinite(half) or half == 0:
        return PairedTest(Estimate(value, float("nan"), float("nan"), scatter.method), float("nan"))
    p = scatter.p(value)
    return PairedTest(Estimate(value, value - half, value + half, scatter.method), p)
