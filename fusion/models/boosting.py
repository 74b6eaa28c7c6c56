"""What all models of boosted trees share: settings, search space, rounds, Shapley values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import lightgbm
import numpy as np
import optuna

from fusion.config import SpaceConfig, TuningConfig
from fusion.features import FeatureTable, TabularEncoder
from fusion.models.explanation import Contributions
from fusion.models.study_location import StudyLocation
from fusion.models.tuning import FoldScore, Parameters, Space, TuningResult, tune

MAX_ROUNDS = 400
PATIENCE = 25
"""Rounds without a lower inner-validation loss before boosting stops."""

FIXED: dict[str, Any] = {
    "max_bin": 63,  # finer histograms cost time and, with some hundred patients, only add noise
    "feature_pre_filter": False,  # one binned matrix serves trials with any leaf size
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}

DEFAULTS: Parameters = {
    "num_leaves": 8,
    "learning_rate": 0.06,
    "min_child_samples": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
}


def search_space(config: SpaceConfig) -> Space:
    """A function that draws parameters within the configured bounds."""

    def draw(trial: optuna.Trial) -> Parameters:
        return {
            "num_leaves": trial.suggest_int("num_leaves", *config.num_leaves, log=True),
            "learning_rate": trial.suggest_float("learning_rate", *config.learning_rate, log=True),
            "min_child_samples": trial.suggest_int(
                "min_child_samples", *config.min_child_samples, log=True
            ),
            "feature_fraction": trial.suggest_float("feature_fraction", *config.feature_fraction),
            "bagging_fraction": trial.suggest_float("bagging_fraction", *config.bagging_fraction),
            "lambda_l2": trial.suggest_float("lambda_l2", *config.lambda_l2, log=True),
        }

    return draw


def first_trial(config: SpaceConfig) -> Parameters:
    """The defaults, moved into the configured bounds."""
    return {
        name: type(value)(np.clip(value, *getattr(config, name)))
        for name, value in DEFAULTS.items()
    }


class BinnedFold(Protocol):
    """One inner fold, binned once for all trials."""

    def boost(self, parameters: Parameters, seed: int) -> lightgbm.Booster:
        """Fits on the training part, with stopping by the validation part."""

    def score(self, parameters: Parameters, seed: int) -> FoldScore:
        """How well such a fit does on the validation part."""


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What the inner folds chose.

    Attributes:
        result: The trials; the parameters are the best one's.
        boosters: Its fit on each inner fold.
        rounds: Their median number of rounds, which the final fit takes.
    """

    result: TuningResult
    boosters: list[lightgbm.Booster]
    rounds: int

    def choices(self, encoder: TabularEncoder, measure: str, loss: str) -> dict[str, Any]:
        """For `choices.json`.

        Args:
            encoder: Of the final fit.
            measure: What trials are ranked by.
            loss: What boosting stops by.
        """
        return {
            "parameters": self.result.parameters,
            "rounds": self.rounds,
            "inner_rounds": [booster.best_iteration for booster in self.boosters],
            "best_trial": self.result.best,
            "trials": [trial.to_record(measure, loss) for trial in self.result.trials],
            "inputs": len(encoder.features_),
            "columns_without_information": sorted(encoder.dropped_),
        }


def tune_boosters(
    folds: Sequence[BinnedFold], config: TuningConfig, seed: int, location: StudyLocation | None
) -> Tuned:
    """Searches parameters over inner folds, and fits the best ones there once more.

    Args:
        folds: The inner folds.
        config: Trials and space.
        seed: Decides trials and bagging.
        location: Where the study is kept; by default in memory.

    Raises:
        ConfigError: The storage of the study cannot be used.
    """
    result = tune(
        lambda parameters, fold: folds[fold].score(parameters, seed),
        len(folds),
        search_space(config.space),
        first_trial(config.space),
        config.trials,
        seed,
        location,
    )
    boosters = [fold.boost(result.parameters, seed) for fold in folds]
    return Tuned(result, boosters, max(1, int(np.median([b.best_iteration for b in boosters]))))


def seeded(parameters: Parameters, seed: int) -> dict[str, Any]:
    """Parameters beside what is fixed, with a seed as LightGBM takes it."""
    return FIXED | parameters | {"seed": seed % 2**31}


def tree_contributions(
    booster: lightgbm.Booster, encoder: TabularEncoder, table: FeatureTable, slope: float = 1.0
) -> Contributions:
    """Exact Shapley values of the trees (Lundberg et al. 2020), as LightGBM computes them.

    Args:
        booster: Of one output.
        encoder: Makes its inputs.
        table: Rows to explain; n of them.
        slope: What a raw score is multiplied by.
    """
    values = np.asarray(booster.predict(encoder.transform(table), pred_contrib=True, num_threads=1))
    features = encoder.features_
    return Contributions(
        tuple(f.name for f in features), tuple(f.group for f in features), slope * values[:, :-1]
    )


def stopping() -> Callable[[Any], None]:
    """LightGBM's early stopping, silent."""
    return lightgbm.early_stopping(PATIENCE, verbose=False)
