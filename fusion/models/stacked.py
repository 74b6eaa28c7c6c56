"""Stacking: LightGBM on the fusion head's out-of-fold logit and the patient columns."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.cohort.folds import inner_folds
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.features.table import FeatureTable
from fusion.metrics.logits import logit
from fusion.models.base import BaseModel, FitRecord
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.lightgbm import LightGbmModel
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation

LOGIT = Column("fusion_head_logit", "numeric", "fusion head", "Logit of the fusion head")
_HEAD = Modality("fusion_head", groups=(LOGIT.group,))


class StackedModel(BaseModel):
    """Stacked generalisation (Wolpert 1992) behind the `Model` protocol.

    One fusion head an inner fold is fitted on the fold's training rows; its logits on the fold's
    validation rows, which it has not seen, are the column that LightGBM learns from beside the
    arm's patient columns. New patients get the mean logit of these heads.
    """

    def __init__(self, arm: Arm, settings: Settings, location: StudyLocation | None = None) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the head's inputs; those of patient columns also LightGBM's.
            settings: Head, tuning and preprocessing.
            location: Where LightGBM's study is kept; by default in memory.
        """
        super().__init__(arm, settings)
        self.location = location

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        patients, first = np.unique(rows.patient_ids.astype(str), return_index=True)
        folds = inner_folds(
            patients, rows.groups[first], rows.y[first], self.settings.tuning.inner_folds, seed
        )
        logits = np.empty(len(rows))
        self._heads = []
        for training, validation in folds:
            head = FusionHeadModel(self.arm, self.settings)
            head.fit(rows.of_patients(patients[training]), seed)
            held_out = np.isin(rows.patient_ids.astype(str), patients[validation])
            logits[held_out] = logit(head.predict_proba(rows.take(held_out)))
            self._heads.append(head)
        seen = (*(m for m in self.arm.modalities if m.groups), _HEAD)
        arm = dataclasses.replace(self.arm, modalities=seen)
        trees = LightGbmModel(arm, self.settings, self.location).fit(_beside(rows, logits), seed)
        self._trees = trees
        heads = [head.choices_ for head in self._heads]
        return FitRecord(trees.inner_, trees.choices_ | {"heads": heads})

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        logits = np.mean([logit(head.predict_proba(rows)) for head in self._heads], axis=0)
        return self._trees.predict_proba(_beside(rows, logits))


def _beside(table: FeatureTable, logits: np.ndarray) -> FeatureTable:
    """The table with one more column."""
    return dataclasses.replace(
        table,
        columns=table.columns.assign(**{LOGIT.name: logits}),
        dictionary=DataDictionary([*table.dictionary, LOGIT]),
    )
