"""A model on several imputations of its patient columns, whose log odds are averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd

from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.features.imputation import ColumnImputer
from fusion.metrics import logit, sigmoid
from fusion.models.base import BaseModel, FitRecord, InnerPredictions, Model
from fusion.models.settings import Settings


class ImputedModel(BaseModel):
    """Fits a model anew on each imputation; predicts by the mean of their log odds.

    Imputations are drawn inside the table that is fitted, from the columns of the arm's
    modalities and without the outcome. Inner folds, by which the model may choose settings, lie
    inside the imputed table. What is drawn for a patient depends on who is predicted beside him.
    """

    def __init__(self, arm: Arm, make: Callable[[], Model], imputations: int) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities' columns are imputed.
            make: Makes the model, not yet fitted.
            imputations: Their number.
        """
        super().__init__(arm, Settings({}))
        self._make = make
        self._imputations = imputations
        self._fits: list[tuple[ColumnImputer, Model]] = []

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        names = dict.fromkeys(n for m in self.arm.modalities for n in m.columns(rows.dictionary))
        columns = [rows.dictionary[name] for name in names]
        patients = _patients(rows)
        self._fits = []
        for k in range(self._imputations):
            drawn_by = int(np.random.SeedSequence([seed, k, 23]).generate_state(1)[0])
            imputer = ColumnImputer(columns, drawn_by)
            imputer.fit(patients, patients.index.to_numpy())
            self._fits.append((imputer, self._make().fit(_completed(rows, imputer), seed)))
        inner = [model.inner_ for _, model in self._fits]
        mean = np.mean([logit(one.probability) for one in inner], axis=0)
        choices = self._fits[0][1].choices_ | {"imputations": self._imputations}
        return FitRecord(InnerPredictions(inner[0].patient_ids, inner[0].y, sigmoid(mean)), choices)

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        found = [model.predict_proba(_completed(rows, imputer)) for imputer, model in self._fits]
        return sigmoid(np.mean([logit(probability) for probability in found], axis=0))


def _patients(rows: FeatureTable) -> pd.DataFrame:
    """Columns of each patient once, by sorted id."""
    ids, first = np.unique(rows.patient_ids.astype(str), return_index=True)
    return rows.columns.iloc[first].set_axis(ids)


def _completed(rows: FeatureTable, imputer: ColumnImputer) -> FeatureTable:
    """The table with gaps filled, alike in all rows of a patient."""
    completed = imputer.transform(_patients(rows))
    own = completed.loc[rows.patient_ids.astype(str)].reset_index(drop=True)
    return dataclasses.replace(rows, columns=own)
