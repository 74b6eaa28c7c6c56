"""What a clinician knows without any model, as a model: the clinical reference."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import ConfigError
from featurestore.tables import DataDictionary
from fusion.arms import Modality
from fusion.features import FeatureTable
from fusion.models.base import BaseModel, FitRecord
from fusion.models.clinical_columns import DEMOGRAPHIC, ReferenceColumns, reference_columns
from fusion.models.grid import GridModel


class ClinicalReference(BaseModel):
    """Logistic regression on Breslow thickness, ulceration and age, whatever the arm sees else.

    Where the cohort has neither thickness nor ulceration, demographics. `choices_` names the
    columns.
    """

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        self._columns = self._require_columns(rows.dictionary)
        narrowed = self._narrowed(rows)
        groups = tuple(narrowed.dictionary.groups)
        arm = dataclasses.replace(self.arm, modalities=(Modality("clinical", groups=groups),))
        self._model = GridModel(arm, self.settings).fit(narrowed, seed)
        choices = self._model.choices_ | {
            "columns": list(self._columns.names),
            "basis": self._columns.basis,
        }
        return FitRecord(self._model.inner_, choices)

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        return self._model.predict_proba(self._narrowed(rows))

    def _narrowed(self, table: FeatureTable) -> FeatureTable:
        names = self._columns.names
        return dataclasses.replace(
            table,
            embeddings={},
            dictionary=DataDictionary(c for c in table.dictionary if c.name in names),
        )

    def _require_columns(self, dictionary: DataDictionary) -> ReferenceColumns:
        columns = reference_columns(dictionary)
        if columns is None:
            raise ConfigError(
                f"{self.arm.model} needs Breslow thickness, ulceration or columns of the group "
                f"{DEMOGRAPHIC!r}; the cohort has {', '.join(dictionary.names) or 'no columns'}"
            )
        return columns
