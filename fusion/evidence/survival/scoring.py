"""Scores every arm on the data and on every draw of a bootstrap over patients, under censoring.

Draws, widening for training and pairing are those of `fusion.evidence.scoring`. The weights of a
draw come from what it drew of the training part of the model that scored a patient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.evidence.scoring import Sample
from fusion.evidence.survival.measures import Measure, Scene
from fusion.evidence.survival.predictions import AlignedTimes, ArmTimes, TimesRepeat
from fusion.metrics import Estimate, draw_weights, in_chunks
from fusion.metrics.survival import Censoring, Times, out_of_fold

PER_FOLD_COLUMNS = ("arm", "repeat", "fold", "n", "events")
"""Before one column a metric."""


@dataclasses.dataclass(frozen=True)
class ArmScores:
    """All metrics of one arm, by name."""

    metrics: Mapping[str, Sample]

    def estimate(self, name: str) -> Estimate:
        """A metric with its interval."""
        return self.metrics[name].estimate


class Stage:
    """Sets scenes: follow-up, and the censoring of each repeat under some draws, made once."""

    def __init__(self, times: Times, weights: np.ndarray | None) -> None:
        """Stores follow-up and draws.

        Args:
            times: Follow-up of the patients.
            weights: Shape (draws, patients); None for the data.
        """
        self._times = times
        self._specific = times.cause_specific() if times.competing else times
        self._weights = weights
        self._made: dict[bytes, tuple[Censoring, Censoring]] = {}

    def scene(self, part: TimesRepeat, weights: np.ndarray | None = None) -> Scene:
        """One repeat of one arm under the draws, or under other weights of the rows.

        Args:
            part: The repeat.
            weights: Shape (lines, patients); censoring stays that of the stage.
        """
        key = part.fold.tobytes()
        if key not in self._made:
            plain = out_of_fold(self._times, part.fold, self._weights)
            specific = plain
            if self._times.competing:
                specific = out_of_fold(self._specific, part.fold, self._weights)
            self._made[key] = plain, specific
        shown = self._weights if weights is None else weights
        return Scene(self._times, self._specific, part, *self._made[key], shown)


def score_arms(
    aligned: AlignedTimes,
    asked: Sequence[Measure],
    clusters: np.ndarray,
    draws: int,
    seed: int,
) -> dict[str, ArmScores]:
    """Scores all arms under one set of draws.

    Args:
        aligned: Predictions of all arms.
        asked: The metrics.
        clusters: Cluster of each patient. Shape (patients,).
        draws: Bootstrap draws.
        seed: Seed.

    Returns:
        By name of the arm.
    """
    units = {measure.name: measure.units(aligned.times, clusters) for measure in asked}
    whole = Stage(aligned.times, None)
    found: dict[str, dict[str, list[np.ndarray]]] = {
        arm.arm: {measure.name: [] for measure in asked} for arm in aligned.arms
    }
    for chunk in in_chunks(draw_weights(clusters, draws, seed)):
        stage = Stage(aligned.times, chunk)
        for arm in aligned.arms:
            for measure in asked:
                found[arm.arm][measure.name].append(on_repeats(arm, measure.of, stage))
    return {
        arm.arm: ArmScores(
            {
                measure.name: Sample(
                    on_repeats(arm, measure.of, whole)[:, 0],
                    np.concatenate(found[arm.arm][measure.name], axis=1),
                    arm.folds,
                    units[measure.name],
                    units[measure.name] if measure.share else None,
                    measure.bounded,
                )
                for measure in asked
            }
        )
        for arm in aligned.arms
    }


def on_repeats(arm: ArmTimes, of: Callable[[Scene], np.ndarray], stage: Stage) -> np.ndarray:
    """A statistic of each repeat; shape (repeats, draws, ...)."""
    return np.array([of(stage.scene(part)) for part in arm.repeats])


def score_folds(aligned: AlignedTimes, asked: Sequence[Measure]) -> pd.DataFrame:
    """Some metrics of each arm on each outer fold, weights of censoring as for all of them.

    Returns:
        Columns `PER_FOLD_COLUMNS` and one a metric; NaN where a fold does not define it.
    """
    stage, rows = Stage(aligned.times, None), []
    event = aligned.times.event == 1
    for arm in aligned.arms:
        for part in arm.repeats:
            folds = np.unique(part.fold)
            inside = (part.fold == folds[:, None]).astype(float)
            values = [measure.of(stage.scene(part, inside)) for measure in asked]
            for place, fold in enumerate(folds):
                test = part.fold == fold
                counts = int(test.sum()), int(event[test].sum())
                own = [float(value[place]) for value in values]
                rows.append((arm.arm, part.repeat, int(fold), *counts, *own))
    return pd.DataFrame(rows, columns=[*PER_FOLD_COLUMNS, *(m.name for m in asked)])
