"""Gradient-boosted trees on the encoded matrix, tuned by Optuna on inner folds."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import lightgbm
import numpy as np
import optuna

from fusion.arms import Arm
from fusion.config import SpaceConfig
from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.explanation import Contributions
from fusion.models.inner import (
    EncodedRows,
    InnerFold,
    TrainingData,
    encode_training,
    patient_auroc,
    patient_log_loss,
)
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation
from fusion.models.tuning import FoldScore, Parameters, Space, tune

MAX_ROUNDS = 400
PATIENCE = 25
"""Rounds without a lower inner-validation loss before boosting stops."""

FIXED: dict[str, Any] = {
    "objective": "binary",
    "metric": "binary_logloss",
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


class LightGbmModel(BaseModel):
    """LightGBM (Ke et al. 2017) behind the `Model` protocol.

    Trials are scored by AUROC over inner folds; boosting stops by inner-validation loss, which is
    smoother. The final fit uses all training rows and the median number of rounds of the best
    trial's inner fits; the inner predictions are those fits' at that number.

    Attributes:
        encoder_: The encoder of the final fit.
        booster_: The final fit.
    """

    def __init__(self, arm: Arm, settings: Settings, location: StudyLocation | None = None) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Tuning, inner folds and preprocessing.
            location: Where the study is kept; by default in memory.
        """
        super().__init__(arm, settings)
        self.location = location

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        n_folds, metadata = self.settings.tuning.inner_folds, self.settings.metadata
        return self.fit_encoded(
            encode_training(rows, self.arm.modalities, metadata, n_folds, seed), seed
        )

    def fit_encoded(self, data: TrainingData, seed: int) -> FitRecord:
        """Tunes and fits on rows that are encoded already.

        Args:
            data: The outer training part and its inner folds.
            seed: Decides trials and bagging.

        Raises:
            ConfigError: The storage of the study cannot be used.
        """
        tuning = self.settings.tuning
        folds = [_BinnedFold.of(fold, seed) for fold in data.folds]
        for fold in data.folds:
            witness("early stopping", "selected on", fold.validation.patient_ids)
            witness("tuning", "selected on", fold.validation.patient_ids)
        result = tune(
            lambda parameters, fold: folds[fold].score(parameters, seed),
            len(folds),
            search_space(tuning.space),
            first_trial(tuning.space),
            tuning.trials,
            seed,
            self.location,
        )
        boosters = [fold.boost(result.parameters, seed) for fold in folds]
        rounds = max(1, int(np.median([b.best_iteration for b in boosters])))
        probability = data.out_of_fold(
            [
                _predict(booster, fold.validation.x, rounds)
                for booster, fold in zip(boosters, data.folds, strict=True)
            ]
        )
        self.encoder_ = data.encoder
        witness("lightgbm", "fitted on", data.whole.patient_ids)
        self.booster_ = lightgbm.train(
            _settings(result.parameters, seed), _dataset(data.whole, seed), rounds
        )
        choices = {
            "parameters": result.parameters,
            "rounds": rounds,
            "inner_rounds": [b.best_iteration for b in boosters],
            "best_trial": result.best,
            "trials": [t.to_record("auroc", "log_loss") for t in result.trials],
            "inputs": len(data.encoder.features_),
            "columns_without_information": sorted(data.encoder.dropped_),
        }
        return FitRecord(
            InnerPredictions.of_rows(data.whole.patient_ids, data.whole.y, probability), choices
        )

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        x = self.encoder_.transform(rows)
        return _predict(self.booster_, x, self.booster_.current_iteration())

    def contributions(self, table: FeatureTable) -> Contributions:
        """Exact Shapley values of the trees (Lundberg et al. 2020), as LightGBM computes them.

        Args:
            table: Rows to explain; n of them.
        """
        x = self.encoder_.transform(table)
        values = np.asarray(self.booster_.predict(x, pred_contrib=True, num_threads=1))
        features = self.encoder_.features_
        return Contributions(
            tuple(f.name for f in features), tuple(f.group for f in features), values[:, :-1]
        )


@dataclasses.dataclass(frozen=True)
class _BinnedFold:
    """One inner fold, binned once for all trials."""

    fold: InnerFold
    training: lightgbm.Dataset
    validation: lightgbm.Dataset

    @classmethod
    def of(cls, fold: InnerFold, seed: int) -> Self:
        training = _dataset(fold.training, seed).construct()
        validation = _dataset(fold.validation, seed, training).construct()
        return cls(fold, training, validation)

    def boost(self, parameters: Parameters, seed: int) -> lightgbm.Booster:
        return lightgbm.train(
            _settings(parameters, seed),
            self.training,
            MAX_ROUNDS,
            valid_sets=[self.validation],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )

    def score(self, parameters: Parameters, seed: int) -> FoldScore:
        booster = self.boost(parameters, seed)
        rows = self.fold.validation
        probability = _predict(booster, rows.x, booster.best_iteration)
        return FoldScore(patient_auroc(rows, probability), patient_log_loss(rows, probability))


def _settings(parameters: Parameters, seed: int) -> dict[str, Any]:
    return FIXED | parameters | {"seed": seed % 2**31}


def _dataset(
    rows: EncodedRows, seed: int, reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        rows.x,
        label=rows.y,
        weight=rows.weights,
        reference=reference,
        params=FIXED | {"seed": seed % 2**31},
    )


def _predict(booster: lightgbm.Booster, x: np.ndarray, rounds: int) -> np.ndarray:
    return np.asarray(booster.predict(x, num_iteration=rounds, num_threads=1))
