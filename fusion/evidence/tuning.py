"""What tuning did: how the best trial came about, and which parameters mattered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fusion.arms import ABLATION
from fusion.config import SpaceConfig

MIN_TRIALS = 8
"""Complete trials of a study below which importances say nothing."""


@dataclasses.dataclass(frozen=True)
class TuningEvidence:
    """The studies of one arm, one an outer fold.

    Attributes:
        arm: Name of the arm.
        best_so_far: Best inner AUROC, or concordance, after each trial, by fold. Shape (folds,
            trials).
        pruned: Share of trials that were pruned.
        importance: Mean over the folds of the share of its variance that each
            parameter explains (fANOVA, Hutter et al. 2014); empty with too few trials.
    """

    arm: str
    best_so_far: np.ndarray
    pruned: float
    importance: dict[str, float]


def tuning_evidence(
    fits: Iterable[Mapping[str, Any]], space: SpaceConfig
) -> tuple[TuningEvidence, ...]:
    """One entry an arm that was tuned.

    Args:
        fits: Records of `choices.json`.
        space: Bounds that the trials were drawn from.
    """
    studies: dict[str, list[list[dict[str, Any]]]] = {}
    for fit in fits:
        if fit["design"] == ABLATION and "trials" in fit["choices"]:
            studies.setdefault(str(fit["arm"]), []).append(fit["choices"]["trials"])
    return tuple(_evidence(arm, trials, space) for arm, trials in studies.items())


def _evidence(arm: str, studies: list[list[dict[str, Any]]], space: SpaceConfig) -> TuningEvidence:
    shortest = min(len(trials) for trials in studies)
    curves = [
        np.maximum.accumulate([-np.inf if t["pruned"] else _value(t) for t in trials[:shortest]])
        for trials in studies
    ]
    importances = [found for trials in studies if (found := _importance(trials, space))]
    names = dict.fromkeys(name for found in importances for name in found)
    mean = {n: float(np.mean([found.get(n, 0.0) for found in importances])) for n in names}
    return TuningEvidence(
        arm,
        np.array(curves),
        float(np.mean([t["pruned"] for trials in studies for t in trials])),
        dict(sorted(mean.items(), key=lambda item: -item[1])),
    )


def _value(trial: Mapping[str, Any]) -> float:
    """By what trials were chosen; records of older runs do not name it."""
    return float(trial[trial.get("measure", "auroc")])


def _importance(trials: list[dict[str, Any]], space: SpaceConfig) -> dict[str, float]:
    complete = [t for t in trials if not t["pruned"]]
    if len(complete) < MIN_TRIALS or np.ptp([_value(t) for t in complete]) == 0:
        return {}
    import optuna  # here, so that who reads a report loads neither it nor the trees

    from fusion.models.boosting import search_space

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in complete:
        fixed = optuna.trial.FixedTrial(trial["parameters"])
        search_space(space)(fixed)  # type: ignore[arg-type]
        study.add_trial(
            optuna.trial.create_trial(
                params=fixed.params, distributions=fixed.distributions, value=_value(trial)
            )
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
