"""Scores every arm on the data and on every bootstrap draw; the arithmetic is in `fusion.metrics`.

With several repeats a metric is computed on the pooled out-of-fold predictions of each, under the
same draws, and averaged over repeats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from fusion import metrics
from fusion.evidence.aligned import AlignedPredictions, ArmPredictions, RepeatPredictions
from fusion.metrics import LEVEL, Estimate, draw_weights, in_chunks, interval, percentile_interval
from fusion.metrics.curves import Curve, decision_curve, pr_curve, roc_curve

PER_FOLD_COLUMNS = ("arm", "repeat", "fold", "n", "events", "auroc", "brier")
RATES = np.linspace(0.0, 1.0, 101)
THRESHOLDS = np.arange(1, 100) / 100

Statistic = Callable[[RepeatPredictions, np.ndarray | None], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Values of one statistic of one arm.

    Attributes:
        value: On the data. Shape (1, ...).
        draws: On each draw. Shape (draws, ...).
    """

    value: np.ndarray
    draws: np.ndarray

    def minus(self, other: Sample) -> Estimate:
        """Paired difference of two statistics that are one number each."""
        return percentile_interval(
            float(self.value[0] - other.value[0]), self.difference_draws(other)
        )

    def difference_draws(self, other: Sample) -> np.ndarray:
        """The difference on each draw; shape (draws,)."""
        return np.asarray(self.draws - other.draws)

    def curve(self, grid: np.ndarray) -> Curve:
        """The statistic as a curve with its pointwise percentile band."""
        defined = self.draws[np.isfinite(self.draws).all(axis=1)]
        if not len(defined):
            return Curve(grid, self.value[0], None, None)
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return Curve(grid, self.value[0], low, high)


@dataclasses.dataclass(frozen=True)
class ArmScores:
    """All statistics of one arm.

    Attributes:
        metrics: By metric name, one number each.
        trials: Trials of each metric that is a share (`metrics.Metric.trials`).
        roc: Sensitivity over `RATES`.
        pr: Precision over `RATES`.
        decision: Net benefit over `THRESHOLDS`.
    """

    metrics: Mapping[str, Sample]
    trials: Mapping[str, int | None]
    roc: Sample
    pr: Sample
    decision: Sample

    def estimate(self, name: str) -> Estimate:
        """A metric with its interval."""
        sample = self.metrics[name]
        return interval(float(sample.value[0]), sample.draws, self.trials[name])


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
    statistics: dict[str, Statistic] = {
        name: _on_input(y, metric.needs, metric.function) for name, metric in known.items()
    }
    curves: dict[str, Statistic] = {
        "roc curve": lambda r, w: roc_curve(y, r.score, RATES, w),
        "pr curve": lambda r, w: pr_curve(y, r.score, RATES, w),
        "decision curve": lambda r, w: decision_curve(y, r.probability, THRESHOLDS, w),
    }
    samples = _sample(aligned, statistics | curves, draw_weights(clusters, draws, seed))
    return {
        arm.arm: ArmScores(
            metrics={name: samples[arm.arm][name] for name in known},
            trials={name: _trials(m, y, arm, clusters) for name, m in known.items()},
            roc=samples[arm.arm]["roc curve"],
            pr=samples[arm.arm]["pr curve"],
            decision=samples[arm.arm]["decision curve"],
        )
        for arm in aligned.arms
    }


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


def _sample(
    aligned: AlignedPredictions, statistics: Mapping[str, Statistic], weights: np.ndarray
) -> dict[str, dict[str, Sample]]:
    """Every statistic of every arm; draws are the outer loop, so that each is unpacked once."""
    found: dict[str, dict[str, list[np.ndarray]]] = {
        arm.arm: {name: [] for name in statistics} for arm in aligned.arms
    }
    for chunk in in_chunks(weights):
        for arm in aligned.arms:
            for name, statistic in statistics.items():
                found[arm.arm][name].append(_averaged(arm, statistic, chunk))
    return {
        arm.arm: {
            name: Sample(_averaged(arm, statistic, None), np.concatenate(found[arm.arm][name]))
            for name, statistic in statistics.items()
        }
        for arm in aligned.arms
    }


def _averaged(arm: ArmPredictions, statistic: Statistic, weights: np.ndarray | None) -> np.ndarray:
    """Mean over repeats; NaN where a repeat does not define the statistic."""
    return np.asarray(np.mean([statistic(repeat, weights) for repeat in arm.repeats], axis=0))


def _on_input(
    y: np.ndarray, needs: metrics.Input, function: Callable[..., np.ndarray]
) -> Statistic:
    return lambda repeat, weights: function(y, getattr(repeat, needs), weights)


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
