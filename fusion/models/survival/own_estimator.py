"""Somebody's estimator as a model of times to an event."""

from __future__ import annotations

from typing import Any

import numpy as np

from featurestore.errors import DataError, one_line
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.metrics.survival import Times, harrell_c
from fusion.models.own_estimator import fit_copy
from fusion.models.settings import Settings
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.encoding import encode_training
from fusion.models.survival.patients import Patients


class OwnSurvival(BaseSurvivalModel):
    """Fits an estimator on the mean encoded rows of patients, as scikit-survival calls it.

    It learns from a structured array with the fields `event` and `time`, and its `predict` must
    rise with the risk. Competing events are censored. What the scores mean in hazards and risks is
    fitted on inner out-of-fold scores (`RiskScale`).

    Attributes:
        encoder_: The encoder of the final fit.
        estimator_: The estimator, fitted on all training patients.
    """

    def __init__(self, arm: Arm, settings: Settings, estimator: Any, called: str) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Inner folds and preprocessing.
            estimator: The estimator; it is copied for each fit, never fitted itself.
            called: Its name in errors.
        """
        super().__init__(arm, settings)
        self.estimator = estimator
        self.called = called

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        if patients.times.delayed:
            raise DataError(
                f"{self.called} is given event and time and so knows no delayed entry, which this "
                f"outcome has; take cox_ridge, lightgbm or a fusion head"
            )
        data = encode_training(rows, patients, self.arm.modalities, self.settings, seed)
        fold_of = np.empty(len(patients))
        scores = []
        for k, fold in enumerate(data.folds):
            training = fold.training
            times = training.patients.times
            fitted = fit_copy(self.estimator, training.means, outcome(times), seed, self.called)
            scores.append(risk_scores(fitted, fold.validation.means, self.called))
            fold_of[fold.places] = k
        score = data.out_of_fold(scores)
        self.encoder_ = data.encoder
        witness(self.called, "fitted on", patients.ids)
        whole = outcome(patients.times)
        self.estimator_ = fit_copy(self.estimator, data.whole.means, whole, seed, self.called)
        found = float(harrell_c(patients.times.cause_specific(), score, strata=fold_of)[0])
        choices = {
            "estimator": type(self.estimator).__name__,
            "inner_concordance": None if np.isnan(found) else found,
            "inputs": len(data.encoder.features_),
            "columns_without_information": sorted(data.encoder.dropped_),
        }
        return SurvivalFit(score, choices)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return risk_scores(self.estimator_, self.encoder_.transform(rows), self.called)


def outcome(times: Times) -> np.ndarray:
    """Event and time as scikit-survival wants them; it wants times above 0. Shape (patients,)."""
    made = np.empty(len(times), dtype=[("event", "?"), ("time", "f8")])
    made["event"] = times.cause_specific().event == 1
    made["time"] = np.maximum(times.time, 1e-3)
    return made


def risk_scores(fitted: Any, x: np.ndarray, called: str) -> np.ndarray:
    """Score of each row by a fitted estimator; shape (n,).

    Raises:
        DataError: It raised an error, or did not give one finite number a row.
    """
    try:
        found = np.asarray(fitted.predict(x), dtype=float)
    except Exception as error:
        problem = f"{type(error).__name__}: {one_line(error)}"
        raise DataError(f"{called} could not be asked for scores ({problem})") from error
    if found.shape != (len(x),) or not np.isfinite(found).all():
        raise DataError(f"{called}: predict must give one finite number for each row")
    return found
