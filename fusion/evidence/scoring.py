"""Scores every arm on the data and on every bootstrap draw; the arithmetic is in `fusion.metrics`.

With several repeats a metric is computed on the pooled out-of-fold predictions of each, under the
same draws. The value is the mean over repeats; how far repeats differ says how much training adds
to the interval (`fusion.metrics.cross_validated`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from fusion import metrics
from fusion.evidence.aligned import AlignedPredictions, ArmPredictions, RepeatPredictions
from fusion.metrics import LEVEL, Estimate, draw_weights, in_chunks
from fusion.metrics.cross_validated import (
    PairedTest,
    cross_validated_interval,
    independent_units,
    moved,
    paired_difference,
    spread,
    stretched,
)
from fusion.metrics.curves import Curve, decision_curve
from fusion.metrics.ranking import Ranking

PER_FOLD_COLUMNS = ("arm", "repeat", "fold", "n", "events", "auroc", "brier")
RATES = np.linspace(0.0, 1.0, 101)
THRESHOLDS = np.arange(1, 100) / 100


class Drawn:
    """Predictions of one repeat under some draws; ranked once, however many metrics ask.

    Attributes:
        y: Outcomes. Shape (patients,).
        repeat: The predictions.
        weights: Shape (draws, patients), or None for the data as they are.
    """

    def __init__(self, y: np.ndarray, repeat: RepeatPredictions, weights: np.ndarray | None):
        """Takes what is scored; see `Drawn`."""
        self.y, self.repeat, self.weights = y, repeat, weights

    @functools.cached_property
    def ranking(self) -> Ranking:
        """The patients by their score."""
        return Ranking.of(self.y, self.repeat.score, self.weights)


Statistic = Callable[[Drawn], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Values of one metric of one arm.

    Attributes:
        values: On the pooled out-of-fold predictions of each repeat. Shape (repeats,).
        draws: The same on each draw. Shape (repeats, draws).
        folds: Folds of a repeat; 1 where no test patient trained a model of another fold.
        units: Clusters with the rarer outcome.
        trials: Independent trials of a share (`metrics.Metric.trials`).
        bounded: Whether the metric lies between 0 and 1.
    """

    values: np.ndarray
    draws: np.ndarray
    folds: int
    units: int
    trials: int | None = None
    bounded: bool = False

    @property
    def estimate(self) -> Estimate:
        """The mean over repeats with its interval."""
        return cross_validated_interval(
            self.values, self.draws, self.folds, self.units, self.trials, self.bounded
        )

    @property
    def stretch(self) -> float:
        """How much wider the interval is than that of models held fixed."""
        return spread(self.values, self.draws, self.folds, self.units).stretch

    def against(self, other: Sample) -> PairedTest:
        """This minus the other under the same draws, with interval and p."""
        folds = max(self.folds, other.folds)
        return paired_difference(
            self.values - other.values, self.draws - other.draws, folds, self.units
        )


@dataclasses.dataclass(frozen=True)
class CurveSample:
    """Values of a curve of one arm, averaged over repeats.

    Attributes:
        value: On the data. Shape (points,).
        draws: On each draw. Shape (draws, points).
        stretch: By how much its band is widened: as the interval of the metric that sums the
            curve up.
        least: Smallest value that the curve can have.
    """

    value: np.ndarray
    draws: np.ndarray
    stretch: float
    least: float = 0.0

    def curve(self, grid: np.ndarray) -> Curve:
        """The curve with its pointwise band: stretched percentiles."""
        defined = self.draws[np.isfinite(self.draws).all(axis=1)]
        if not len(defined):
            return Curve(grid, self.value, None, None)
        ends = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        stretch = self.stretch if np.isfinite(self.stretch) else 1.0
        low, high = np.clip(stretched(self.value, ends, stretch), self.least, 1.0)
        return Curve(grid, self.value, low, high)


@dataclasses.dataclass(frozen=True)
class ArmScores:
    """All statistics of one arm.

    Attributes:
        metrics: By metric name, one number each; on the pooled predictions of all folds.
        fold_averaged: AUROC inside folds, averaged over them; folds with one class are left out.
        roc: Sensitivity over `RATES`.
        pr: Precision over `RATES`.
        decision: Net benefit over `THRESHOLDS`.
    """

    metrics: Mapping[str, Sample]
    fold_averaged: Estimate
    roc: CurveSample
    pr: CurveSample
    decision: CurveSample

    def estimate(self, name: str) -> Estimate:
        """A metric with its interval."""
        return self.metrics[name].estimate


class Scored(Protocol):
    """Scores of an arm of any kind."""

    @property
    def metrics(self) -> Mapping[str, Sample]:
        """Metrics by name."""
        ...


def score_arms(
    aligned: AlignedPredictions,
    clusters: np.ndarray,
    threshold: float,
    draws: int,
    seed: int,
) -> dict[str, ArmScores]:
    """Scores all arms under one set of draws.

    Args:
        aligned: Predictions of all arms.
        clusters: Cluster of each patient. Shape (patients,).
        threshold: Threshold probability of the net benefit.
        draws: Bootstrap draws.
        seed: Seed.

    Returns:
        By name of the arm.
    """
    known = metrics.metrics_at(threshold)
    y = aligned.y
    statistics: dict[str, Statistic] = {name: _statistic(metric) for name, metric in known.items()}
    statistics |= {
        "roc curve": lambda drawn: drawn.ranking.roc(RATES),
        "pr curve": lambda drawn: drawn.ranking.precision_recall(RATES),
        "decision curve": lambda drawn: decision_curve(
            drawn.y, drawn.repeat.probability, THRESHOLDS, drawn.weights
        ),
    }
    weights = draw_weights(clusters, draws, seed)
    units = independent_units(y, clusters)
    drawn = _on_draws(aligned, statistics, weights)
    found = {}
    for arm in aligned.arms:
        values = _on_repeats(y, arm, statistics, None)
        samples = {
            name: Sample(
                values[name][:, 0],
                drawn[arm.arm][name].T,
                arm.dependent_folds,
                units,
                _trials(metric, y, arm, clusters),
                metric.bounded,
            )
            for name, metric in known.items()
        }
        roc, pr, decision = (
            CurveSample(
                values[f"{name} curve"].mean(axis=0)[0],
                drawn[arm.arm][f"{name} curve"],
                samples[summed].stretch,
                least,
            )
            for name, summed, least in (
                ("roc", "auroc", 0.0),
                ("pr", "auprc", 0.0),
                ("decision", "net_benefit", -np.inf),
            )
        )
        area = samples["auroc"]
        averaged = moved(area.estimate, _fold_averaged(y, arm), area.trials)
        found[arm.arm] = ArmScores(samples, averaged, roc, pr, decision)
    return found


def sample_arms(
    aligned: AlignedPredictions,
    clusters: np.ndarray,
    names: Sequence[str],
    draws: int,
    seed: int,
) -> dict[str, dict[str, Sample]]:
    """Some metrics of all arms under one set of draws, that of `score_arms` with the same seed.

    Args:
        aligned: Predictions of all arms.
        clusters: Cluster of each patient. Shape (patients,).
        names: Names of metrics that need no threshold.
        draws: Bootstrap draws.
        seed: Seed.

    Returns:
        By name of the arm and by metric.
    """
    known = {name: metrics.metrics_at(0.5)[name] for name in names}
    statistics = {name: _statistic(metric) for name, metric in known.items()}
    drawn = _on_draws(aligned, statistics, draw_weights(clusters, draws, seed))
    units = independent_units(aligned.y, clusters)
    found = {}
    for arm in aligned.arms:
        values = _on_repeats(aligned.y, arm, statistics, None)
        found[arm.arm] = {
            name: Sample(
                values[name][:, 0],
                drawn[arm.arm][name].T,
                arm.dependent_folds,
                units,
                _trials(metric, aligned.y, arm, clusters),
                metric.bounded,
            )
            for name, metric in known.items()
        }
    return found


def score_folds(aligned: AlignedPredictions) -> pd.DataFrame:
    """AUROC and Brier of each arm on each outer fold; NaN AUROC where a fold has one class."""
    rows = []
    for arm in aligned.arms:
        for part in arm.repeats:
            for fold in np.unique(part.fold):
                test = part.fold == fold
                y = aligned.y[test]
                area = metrics.auroc(y, part.score[test])[0]
                error = metrics.brier(y, part.probability[test])[0]
                names = arm.arm, part.repeat, int(fold)
                rows.append((*names, int(test.sum()), int(y.sum()), area, error))
    return pd.DataFrame(rows, columns=list(PER_FOLD_COLUMNS))


def _fold_averaged(y: np.ndarray, arm: ArmPredictions) -> float:
    """Mean over folds, then over repeats; NaN where no fold of a repeat has both classes."""
    means = []
    for part in arm.repeats:
        tests = [part.fold == fold for fold in np.unique(part.fold)]
        areas = np.array([metrics.auroc(y[test], part.score[test])[0] for test in tests])
        defined = areas[np.isfinite(areas)]
        means.append(defined.mean() if len(defined) else np.nan)
    return float(np.mean(means))


def _on_draws(
    aligned: AlignedPredictions, statistics: Mapping[str, Statistic], weights: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Every statistic of every arm; draws are the outer loop, so that each is unpacked once.

    Returns:
        By arm and name: of a metric by repeat, shape (draws, repeats); of a curve averaged over
        repeats, shape (draws, points), because curves of all repeats would fill the memory.
    """
    found: dict[str, dict[str, list[np.ndarray]]] = {
        arm.arm: {name: [] for name in statistics} for arm in aligned.arms
    }
    # One thread: products of matrices as narrow as these gain nothing by more, and lose all of it
    # where the cores are busy.
    with threadpool_limits(limits=1, user_api="blas"):
        for chunk in in_chunks(weights):
            for arm in aligned.arms:
                for name, values in _on_repeats(aligned.y, arm, statistics, chunk).items():
                    kept = values.T if values.ndim == 2 else values.mean(axis=0)
                    found[arm.arm][name].append(kept)
    return {
        arm: {name: np.concatenate(parts) for name, parts in own.items()}
        for arm, own in found.items()
    }


def _on_repeats(
    y: np.ndarray,
    arm: ArmPredictions,
    statistics: Mapping[str, Statistic],
    weights: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Each statistic of each repeat; shape (repeats, draws, ...)."""
    drawn = [Drawn(y, repeat, weights) for repeat in arm.repeats]
    return {name: np.array([s(repeat) for repeat in drawn]) for name, s in statistics.items()}


def _statistic(metric: metrics.Metric) -> Statistic:
    if metric.of_ranking is not None:
        of_ranking = metric.of_ranking
        return lambda drawn: of_ranking(drawn.ranking)
    return lambda drawn: metric.function(
        drawn.y, getattr(drawn.repeat, metric.needs), drawn.weights
    )


def _trials(
    metric: metrics.Metric, y: np.ndarray, arm: ArmPredictions, clusters: np.ndarray
) -> int | None:
    """Clusters that count as trials of a share; the fewest over the repeats."""
    if metric.trials is None:
        return None
    return min(
        len(np.unique(clusters[rows]))
        for repeat in arm.repeats
        for rows in metric.trials(y, getattr(repeat, metric.needs))
    )
