"""Gradient-boosted trees on the encoded matrix, tuned by Optuna on inner folds."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import lightgbm
import numpy as np

from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.boosting import (
    MAX_ROUNDS,
    seeded,
    stopping,
    tree_contributions,
    tune_boosters,
)
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
from fusion.models.tuning import FoldScore, Parameters

SETTINGS: dict[str, Any] = {"objective": "binary", "metric": "binary_logloss"}


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
        for fold in data.folds:
            witness("early stopping", "selected on", fold.validation.patient_ids)
            witness("tuning", "selected on", fold.validation.patient_ids)
        folds = [_BinnedFold.of(fold, seed) for fold in data.folds]
        tuned = tune_boosters(folds, self.settings.tuning, seed, self.location)
        probability = data.out_of_fold(
            [
                _predict(booster, fold.validation.x, tuned.rounds)
                for booster, fold in zip(tuned.boosters, data.folds, strict=True)
            ]
        )
        self.encoder_ = data.encoder
        witness("lightgbm", "fitted on", data.whole.patient_ids)
        self.booster_ = lightgbm.train(
            SETTINGS | seeded(tuned.result.parameters, seed),
            _dataset(data.whole, seed),
            tuned.rounds,
        )
        choices = tuned.choices(data.encoder, "auroc", "log_loss")
        return FitRecord(
            InnerPredictions.of_rows(data.whole.patient_ids, data.whole.y, probability), choices
        )

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        x = self.encoder_.transform(rows)
        return _predict(self.booster_, x, self.booster_.current_iteration())

    def contributions(self, table: FeatureTable) -> Contributions:
        """Exact Shapley values of the trees, in log odds.

        Args:
            table: Rows to explain; n of them.
        """
        return tree_contributions(self.booster_, self.encoder_, table)


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

    def boost(self, parameters: Parameters, seed: int, once: bool = False) -> lightgbm.Booster:
        return lightgbm.train(
            SETTINGS | seeded(parameters, seed),
            self.training,
            MAX_ROUNDS,
            valid_sets=[self.validation],
            callbacks=[stopping()],
            keep_training_booster=once,  # as it is, with data and later rounds, not cut and copied
        )

    def score(self, parameters: Parameters, seed: int) -> FoldScore:
        booster = self.boost(parameters, seed, once=True)
        rows = self.fold.validation
        probability = _predict(booster, rows.x, booster.best_iteration)
        return FoldScore(patient_auroc(rows, probability), patient_log_loss(rows, probability))


def _dataset(
    rows: EncodedRows, seed: int, reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        rows.x,
        label=rows.y,
        weight=rows.weights,
        reference=reference,
        params=seeded({}, seed),
    )


def _predict(booster: lightgbm.Booster, x: np.ndarray, rounds: int) -> np.ndarray:
    return np.asarray(booster.predict(x, num_iteration=rounds, num_threads=1))
