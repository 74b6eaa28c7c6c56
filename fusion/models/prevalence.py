"""The floor that knows how many have the outcome, and nothing about anyone."""

from __future__ import annotations

import numpy as np

from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.inner import folds_of_patients


class Prevalence(BaseModel):
    """The training prevalence for everyone: knows how many, not who."""

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        n_folds = self.settings.tuning.inner_folds
        patients, y, folds = folds_of_patients(rows, n_folds, seed)
        probability = np.empty(len(y))
        for training, validation in folds:
            probability[validation] = y[training].mean()
        witness("prevalence", "fitted on", patients)
        self._prevalence = float(y.mean())
        inner = InnerPredictions(patients, y, probability)
        return FitRecord(inner, {"prevalence": self._prevalence})

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        return np.full(len(rows), self._prevalence)
