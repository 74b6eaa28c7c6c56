"""The floor that knows how many have the outcome, and nothing about anyone."""

from __future__ import annotations

import numpy as np

from featurestore.cohort.folds import inner_folds
from fusion.features.table import FeatureTable
from fusion.ledger import witness
from fusion.metrics.logits import by_patient
from fusion.models.base import BaseModel, FitRecord, InnerPredictions


class Prevalence(BaseModel):
    """The training prevalence for everyone: knows how many, not who."""

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        patients, y, _ = by_patient(rows.patient_ids, rows.y, rows.y)
        groups = rows.groups[np.unique(rows.patient_ids.astype(str), return_index=True)[1]]
        probability = np.empty(len(y))
        n_folds = self.settings.tuning.inner_folds
        for training, validation in inner_folds(patients, groups, y, n_folds, seed):
            probability[validation] = y[training].mean()
        witness("prevalence", "fitted on", patients)
        self._prevalence = float(y.mean())
        inner = InnerPredictions(patients, y, probability)
        return FitRecord(inner, {"prevalence": self._prevalence})

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        return np.full(len(rows), self._prevalence)
