"""Cox regression with a ridge penalty, and the clinical references made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from featurestore.errors import ConfigError, DataError
from featurestore.tables import DataDictionary
from fusion.arms import Arm, Modality
from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.metrics.survival import PartialLikelihood, cox_ridge, harrell_c
from fusion.models.clinical_columns import (
    DEMOGRAPHIC,
    ReferenceColumns,
    reference_columns,
    stage_columns,
)
from fusion.models.grid import LinearScore, coefficients
from fusion.models.settings import Settings
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.encoding import InnerFold, TrainingData, encode_training
from fusion.models.survival.patients import Patients

PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""Ridge penalties an event, of standardised features; of equally good ones the strongest."""


class CoxRidge(BaseSurvivalModel):
    """Cox regression on the means of each patient's encoded rows, Efron ties, delayed entry.

    The penalty is the one with the highest cross-validated log partial likelihood (Verweij & van
    Houwelingen 1993): of all patients minus that of the training patients, under coefficients of
    the training patients, summed over inner folds. Validation patients thereby count by what they
    add to the risk sets, and folds with a handful of events cannot rule. A penalty under which a
    fold has no finite fit (late entry leaves early risk sets of one or two) is no candidate.

    Attributes:
        encoder_: The encoder of the final fit.
        scorer_: The final fit.
    """

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        data = encode_training(rows, patients, self.arm.modalities, self.settings, seed)
        tried, failed = [], None
        for penalty in PENALTIES:
            try:
                tried.append((penalty, *self._tried(data, penalty)))
            except DataError as error:
                failed = error
        if failed is not None and not tried:
            raise failed
        witness("setting", "selected on", patients.ids)
        penalty, gain, score = max(tried, key=lambda one: one[1])
        self.encoder_ = data.encoder
        witness("cox_ridge", "fitted on", patients.ids)
        fitted = cox_ridge(patients.times, data.whole.means, penalty * patients.events.sum())
        self.scorer_ = LinearScore(fitted.coefficients, 0.0)
        choices = {
            "estimator": "cox_ridge",
            "parameters": {"penalty": penalty},
            "inner_log_likelihood": gain,
            "inner_concordance": float(harrell_c(patients.times.cause_specific(), score)[0]),
            "candidates": [
                {"parameters": {"penalty": p}, "inner_log_likelihood": own} for p, own, _ in tried
            ],
            "inputs": len(data.encoder.features_),
            "columns_without_information": sorted(data.encoder.dropped_),
        } | coefficients(self.scorer_, data.encoder)
        return SurvivalFit(score, choices)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return self.scorer_(self.encoder_.transform(rows))

    def _tried(self, data: TrainingData, penalty: float) -> tuple[float, np.ndarray]:
        """Cross-validated log partial likelihood and out-of-fold scores of one penalty."""
        gain, scores = 0.0, []
        for fold in data.folds:
            training = fold.training.patients
            fitted = cox_ridge(training.times, fold.training.means, penalty * training.events.sum())
            beta = fitted.coefficients
            scores.append(fold.validation.means @ beta)
            gain += _added(data.whole.patients, fold, fold.training.means @ beta, scores[-1])
        return gain, data.out_of_fold(scores)


def _added(whole: Patients, fold: InnerFold, training: np.ndarray, validation: np.ndarray) -> float:
    """What a fold's validation patients add to the log partial likelihood."""
    together = np.empty(len(whole))
    together[fold.places] = validation
    kept = np.setdiff1d(np.arange(len(whole)), fold.places)
    together[kept] = training
    return (
        PartialLikelihood(whole.times).at(together).value
        - PartialLikelihood(fold.training.patients.times).at(training).value
    )


FINDERS: dict[str, Callable[[DataDictionary], ReferenceColumns | None]] = {
    "clinical": reference_columns,
    "stage": stage_columns,
}
"""Which columns a clinical reference is fitted on, by name."""

_NEEDS = {
    "clinical": f"Breslow thickness, ulceration or columns of the group {DEMOGRAPHIC!r}",
    "stage": "a column of the AJCC stage",
}


class ClinicalCox(BaseSurvivalModel):
    """Cox regression on what a clinician decides by, whatever the arm sees else."""

    def __init__(self, arm: Arm, settings: Settings, columns: str = "clinical") -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities do not matter.
            settings: Inner folds and preprocessing.
            columns: Key of `FINDERS`.
        """
        super().__init__(arm, settings)
        self.columns = columns

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        self._columns = self._require_columns(rows.dictionary)
        narrowed = self._narrowed(rows)
        groups = tuple(narrowed.dictionary.groups)
        arm = dataclasses.replace(self.arm, modalities=(Modality("clinical", groups=groups),))
        self._model = CoxRidge(arm, self.settings)
        found = self._model._fit(narrowed, patients, seed)
        named = {"columns": list(self._columns.names), "basis": self._columns.basis}
        return dataclasses.replace(found, choices=found.choices | named)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return self._model._score(self._narrowed(rows))

    def _narrowed(self, table: FeatureTable) -> FeatureTable:
        names = self._columns.names
        kept = DataDictionary(c for c in table.dictionary if c.name in names)
        return dataclasses.replace(table, embeddings={}, dictionary=kept)

    def _require_columns(self, dictionary: DataDictionary) -> ReferenceColumns:
        found = FINDERS[self.columns](dictionary)
        if found is None:
            raise ConfigError(
                f"{self.arm.model} needs {_NEEDS[self.columns]}; the cohort has "
                f"{', '.join(dictionary.names) or 'no columns'}"
            )
        return found
