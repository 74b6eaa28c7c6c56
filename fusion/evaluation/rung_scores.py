"""Concordances of one rung of the time ladder, with intervals and paired gains.

As in reports on times to an event: Uno's C of pairs of patients of one fold, events up to the last
horizon that follow-up supports, weights from the other folds, and intervals from a bootstrap of
patients, widened for training. The draws are those of all rungs, of which each takes its patients.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fusion.metrics import Estimate, in_chunks
from fusion.metrics.cross_validated import cross_validated_interval, paired_difference
from fusion.metrics.survival import (
    EVENT,
    Times,
    last_supported_time,
    out_of_fold,
    uno_c,
)


@dataclasses.dataclass(frozen=True)
class Scored:
    """Out-of-fold scores of one repeat.

    Attributes:
        fold: Fold that tested each patient. Shape (n,).
        score: By what the model saw; higher means an earlier event. Each of shape (n,).
    """

    fold: np.ndarray
    score: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Scores:
    """What was found on a rung; see `time_ladder.TimeRung`."""

    until: float
    concordance: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]
    why_not: str = ""


def score_rung(
    times: Times,
    repeats: Sequence[Scored],
    horizons: Sequence[float],
    weights: np.ndarray,
    clusters: np.ndarray,
) -> Scores:
    """Scores one rung.

    Args:
        times: Follow-up of n patients.
        repeats: Their scores; the last name of each sees what all others see.
        horizons: Days of which the last supported one is where events stop to count.
        weights: How often each patient stands in each draw. Shape (draws, n).
        clusters: Cluster of each patient. Shape (n,).
    """
    specific = times.cause_specific() if times.competing else times
    last = min(last_supported_time(specific, out_of_fold(specific, r.fold)) for r in repeats)
    if not np.isfinite(last):
        return Scores(float("nan"), {}, {}, "too few patients are under observation together")
    until = max((days for days in horizons if days <= last), default=last)
    case = (specific.event == EVENT) & (specific.time <= until)
    units = len(np.unique(clusters[case]))
    names = list(repeats[0].score)
    values = {name: np.empty(len(repeats)) for name in names}
    drawn = {name: np.empty((len(repeats), len(weights))) for name in names}
    for place, part in enumerate(repeats):
        for name in names:
            values[name][place] = _of(specific, part, name, until, None)[0]
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for chunk in in_chunks(weights):
            for name, row in _on_draws(specific, part, until, chunk).items():
                found[name].append(row)
        for name in names:
            drawn[name][place] = np.concatenate(found[name])
    folds = len(np.unique(repeats[0].fold))
    concordance = {
        name: cross_validated_interval(values[name], drawn[name], folds, units, units, bounded=True)
        for name in names
    }
    *single, both = names
    gains = {
        name: paired_difference(
            values[both] - values[name], drawn[both] - drawn[name], folds, units
        ).estimate
        for name in single
    }
    return Scores(float(until), concordance, gains)


def _of(
    times: Times, part: Scored, name: str, until: float, weights: np.ndarray | None
) -> np.ndarray:
    censoring = out_of_fold(times, part.fold, weights)
    return uno_c(times, part.score[name], censoring, weights, tau=until, strata=part.fold)


def _on_draws(
    times: Times, part: Scored, until: float, weights: np.ndarray
) -> dict[str, np.ndarray]:
    censoring = out_of_fold(times, part.fold, weights)
    return {
        name: uno_c(times, score, censoring, weights, tau=until, strata=part.fold)
        for name, score in part.score.items()
    }
