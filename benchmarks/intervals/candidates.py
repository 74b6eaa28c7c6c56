"""Intervals of cross-validated AUROC that compete: as now, as published, and as melafuse prints."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from fusion import metrics
from fusion.metrics import Estimate, percentile_interval, sigmoid
from fusion.metrics.cross_validated import MOST, cross_validated_interval, paired_difference

NORMAL = float(norm.ppf(0.975))


@dataclasses.dataclass(frozen=True)
class Inside:
    """AUROC inside the folds of one repeat; folds with one class are left out.

    LeDell, Petersen & van der Laan 2015, as in their package cvAUC.

    Attributes:
        folds: AUROC of each fold.
        influence: What each patient adds to their mean. Shape (n,).
    """

    folds: np.ndarray
    influence: np.ndarray


@dataclasses.dataclass(frozen=True)
class Arm:
    """Out-of-fold predictions of one arm and what draws make of them.

    Attributes:
        y: Outcomes. Shape (n,).
        cluster: Shape (n,).
        folds: Fold of each patient. Shape (repeats, n).
        scores: Out-of-fold log odds. Shape (repeats, n).
        values: Pooled AUROC of each repeat. Shape (repeats,).
        influence: What each patient adds to it. Shape (repeats, n).
        inside: AUROC inside the folds of each repeat.
        weights: Draws; none in most studies, because they take the most time. Shape (draws, n).
        draws: Pooled AUROC on each draw. Shape (repeats, draws).
    """

    y: np.ndarray
    cluster: np.ndarray
    folds: np.ndarray
    scores: np.ndarray
    values: np.ndarray
    influence: np.ndarray
    inside: tuple[Inside, ...]
    weights: np.ndarray
    draws: np.ndarray

    @property
    def units(self) -> int:
        """Clusters of the rarer class."""
        return min(len(np.unique(self.cluster[self.y == outcome])) for outcome in (0.0, 1.0))

    @property
    def student(self) -> float:
        """Quantile of Student's t with one degree of freedom less than units."""
        return float(student_t.ppf(0.975, self.units - 1))

    @property
    def fold_averaged(self) -> float:
        """AUROC averaged over folds, then repeats."""
        return float(np.mean([part.folds.mean() for part in self.inside]))

    @property
    def by_fold(self) -> np.ndarray:
        """AUROC of every fold of every repeat."""
        return np.concatenate([part.folds for part in self.inside])

    @property
    def inner_influence(self) -> np.ndarray:
        """What each patient adds to the fold-averaged AUROC. Shape (repeats, n)."""
        return np.array([part.influence for part in self.inside])

    def first(self, repeats: int) -> Arm:
        """The same study with fewer repeats."""
        return dataclasses.replace(
            self,
            folds=self.folds[:repeats],
            scores=self.scores[:repeats],
            values=self.values[:repeats],
            influence=self.influence[:repeats],
            inside=self.inside[:repeats],
            draws=self.draws[:repeats],
        )

    @property
    def n_folds(self) -> int:
        """Folds of a repeat."""
        return int(self.folds.max()) + 1


def make_arm(
    y: np.ndarray, cluster: np.ndarray, folds: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> Arm:
    """Scores the predictions on the data and on the draws."""
    pooled = [placements(y, score) for score in scores]
    values, influence = np.array([a for a, _ in pooled]), np.array([psi for _, psi in pooled])
    inside = tuple(_inside(y, fold, score) for fold, score in zip(folds, scores, strict=True))
    none = np.empty(0)
    draws = np.array([metrics.auroc(y, s, weights) if len(weights) else none for s in scores])
    return Arm(y, cluster, folds, scores, values, influence, inside, weights, draws)


def single(arm: Arm) -> dict[str, Estimate]:
    """Intervals of the AUROC of one arm, by candidate."""
    pooled, area = float(arm.values.mean()), arm.fold_averaged
    plain, widened = limit_errors(arm.influence, arm.cluster, arm.n_folds)
    student = arm.student
    ledell, _ = limit_errors(arm.inner_influence, arm.cluster, arm.n_folds)
    found = {
        "pooled, models held fixed": on_log_odds(pooled, NORMAL * plain),
        "pooled, widened": on_log_odds(pooled, student * widened),
        "fold-averaged, widened": on_log_odds(area, student * widened),
        "pooled, twice the variance": on_log_odds(pooled, student * np.sqrt(2) * plain),
        "LeDell 2015": around(area, NORMAL * ledell),
        "Nadeau-Bengio": nadeau_bengio(arm.by_fold, arm.n_folds),
    }
    if arm.draws.size:
        found["percentile, as before"] = percentile_interval(pooled, arm.draws.mean(axis=0))
        found["melafuse"] = cross_validated_interval(
            arm.values, arm.draws, arm.n_folds, arm.units, bounded=True
        )
    return found


def paired(one: Arm, other: Arm) -> dict[str, Estimate]:
    """Intervals of the difference of two arms, by candidate."""
    values = one.values - other.values
    area = one.fold_averaged - other.fold_averaged
    influence = one.influence - other.influence
    plain, widened = limit_errors(influence, one.cluster, one.n_folds)
    student = one.student
    inner = one.inner_influence - other.inner_influence
    ledell, _ = limit_errors(inner, one.cluster, one.n_folds)
    found = {
        "pooled, models held fixed": around(float(values.mean()), NORMAL * plain),
        "pooled, widened": around(float(values.mean()), student * widened),
        "fold-averaged, widened": around(area, student * widened),
        "pooled, twice the variance": around(float(values.mean()), student * np.sqrt(2) * plain),
        "LeDell 2015": around(area, NORMAL * ledell),
        "Nadeau-Bengio": nadeau_bengio(one.by_fold - other.by_fold, one.n_folds),
    }
    if one.draws.size:
        draws = one.draws - other.draws
        found["percentile, as before"] = percentile_interval(
            float(values.mean()), draws.mean(axis=0)
        )
        found["melafuse"] = paired_difference(values, draws, one.n_folds, one.units).estimate
    return found


def limit_errors(influence: np.ndarray, cluster: np.ndarray, folds: int) -> tuple[float, float]:
    """Standard errors with models held fixed, and widened for training.

    They are what those of `fusion.metrics.cross_validated` become with infinitely many draws,
    because to first order a draw adds up the influence of those drawn.

    Args:
        influence: What each patient adds to the metric of each repeat. Shape (repeats, n).
        cluster: Shape (n,).
        folds: Folds of a repeat.
    """
    sums = np.array([np.bincount(cluster, weights=psi) for psi in influence])
    plain = float(np.sum(sums.mean(axis=0) ** 2))
    if len(sums) < 2:
        return plain**0.5, (2 * plain) ** 0.5
    between = float(np.sum(np.var(sums, axis=0, ddof=1)))
    training = min(MOST * plain, between * (folds - 1 + 1 / len(sums)))
    return plain**0.5, (plain + training) ** 0.5


def _inside(y: np.ndarray, fold_of: np.ndarray, score: np.ndarray) -> Inside:
    areas, psi = [], np.zeros(len(y))
    for fold in range(int(fold_of.max()) + 1):
        test = np.flatnonzero(fold_of == fold)
        if 0 < y[test].sum() < len(test):
            area, psi[test] = placements(y[test], score[test])
            areas.append(area)
    return Inside(np.array(areas), psi / max(len(areas), 1))


def placements(y: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """AUROC and what each patient adds to it (DeLong's structural components)."""
    event = y == 1
    events, others = np.sort(score[event]), np.sort(score[~event])
    above = np.empty(len(y))
    above[event] = _below(others, score[event]) / len(others)
    above[~event] = 1 - _below(events, score[~event]) / len(events)
    area = float(above[event].mean())
    return area, (above - area) / np.where(event, len(events), len(others))


def _below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of a sorted array lie below each value, ties half."""
    left = np.searchsorted(ordered, values, side="left")
    return (left + np.searchsorted(ordered, values, side="right")) / 2


def nadeau_bengio(values: np.ndarray, folds: int) -> Estimate:
    """Corrected t over the folds of all repeats (Nadeau & Bengio 2003; Bouckaert & Frank 2004)."""
    variance = np.var(values, ddof=1) * (1 / len(values) + 1 / (folds - 1))
    half = float(student_t.ppf(0.975, len(values) - 1) * np.sqrt(variance))
    return around(float(values.mean()), half)


def around(value: float, half: float) -> Estimate:
    """An interval that is symmetric."""
    return Estimate(value, value - half, value + half)


def on_log_odds(value: float, half: float) -> Estimate:
    """An interval that is symmetric on the scale of log odds, by the delta method."""
    if not 0 < value < 1:
        return Estimate(value, float("nan"), float("nan"))
    middle, half = np.log(value / (1 - value)), half / (value * (1 - value))
    return Estimate(value, *(float(e) for e in sigmoid(np.array([middle - half, middle + half]))))
