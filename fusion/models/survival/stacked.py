"""Stacking: LightGBM on the fusion head's out-of-fold log hazard ratio and the patient columns."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.tables import Column
from fusion.arms import Arm, Modality
from fusion.features import FeatureTable
from fusion.models.settings import Settings
from fusion.models.stacked import LEAST_FOLDS, beside, nested_heads
from fusion.models.study_location import StudyLocation
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.encoding import encode_folds
from fusion.models.survival.fusion_head import SurvivalHead
from fusion.models.survival.lightgbm import CoxLightGbm
from fusion.models.survival.patients import Patients, folds_of

SCORE = Column("fusion_head_lhr", "numeric", "fusion head", "Log hazard ratio of the fusion head")

_HEAD = Modality("fusion_head", groups=(SCORE.group,))


class StackedCox(BaseSurvivalModel):
    """Nested stacking as `fusion.models.stacked.StackedModel`, on times to an event.

    A head is fitted without each inner fold, and without each pair of them; what LightGBM learns
    from of a patient never comes from a head that saw the patient's times.
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

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        n_folds = max(self.settings.tuning.inner_folds, LEAST_FOLDS)
        folds = folds_of(patients, n_folds, seed)
        heads = nested_heads(
            rows,
            [patients.rows_of(validation) for _, validation in folds],
            lambda kept: SurvivalHead(self.arm, self.settings).fit(kept, seed),
            _scores,
        )
        self._heads = heads.fitted
        seen = (*(m for m in self.arm.modalities if m.groups), _HEAD)
        data = encode_folds(
            beside(rows, SCORE, heads.scores),
            patients,
            [
                (beside(rows, SCORE, own), *fold)
                for own, fold in zip(heads.nested, folds, strict=True)
            ],
            seen,
            self.settings.metadata,
        )
        arm = dataclasses.replace(self.arm, modalities=seen)
        self._trees = CoxLightGbm(arm, self.settings, self.location)
        record = self._trees.fit_encoded(data, seed)
        return dataclasses.replace(record, choices=record.choices | heads.choices())

    def _score(self, rows: FeatureTable) -> np.ndarray:
        mean = np.mean([_scores(head, rows) for head in self._heads], axis=0)
        return self._trees._score(beside(rows, SCORE, mean))


def _scores(head: SurvivalHead, rows: FeatureTable) -> np.ndarray:
    return head.predict(rows, np.empty(0)).score
