"""Stacking: LightGBM on the fusion head's out-of-fold log hazard ratio and the patient columns."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from featurestore.tables import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.features import FeatureTable
from fusion.models.settings import Settings
from fusion.models.stacked import LEAST_FOLDS
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
        parts = [patients.rows_of(validation) for _, validation in folds]
        every = range(len(parts))
        self._heads = [self._head_without(rows, [parts[k]], seed) for k in every]
        scores = np.empty(len(rows))
        for part, head in zip(parts, self._heads, strict=True):
            scores[part] = _scores(head, rows.take(part))
        nested = [np.zeros(len(rows)) for _ in every]
        for j, k in itertools.combinations(every, 2):
            head = self._head_without(rows, [parts[j], parts[k]], seed)
            of_j, of_k = (_scores(head, rows.take(parts[i])) for i in (j, k))
            nested[j][parts[k]] = of_k
            nested[k][parts[j]] = of_j
            nested[j][parts[j]] += of_j / (len(parts) - 1)
            nested[k][parts[k]] += of_k / (len(parts) - 1)
        seen = (*(m for m in self.arm.modalities if m.groups), _HEAD)
        data = encode_folds(
            _beside(rows, scores),
            patients,
            [(_beside(rows, own), *fold) for own, fold in zip(nested, folds, strict=True)],
            seen,
            self.settings.metadata,
        )
        arm = dataclasses.replace(self.arm, modalities=seen)
        self._trees = CoxLightGbm(arm, self.settings, self.location)
        record = self._trees.fit_encoded(data, seed)
        heads = [head.choices_ for head in self._heads]
        fitted = len(parts) * (len(parts) + 1) // 2
        choices = record.choices | {"heads": heads, "heads_fitted": fitted}
        return dataclasses.replace(record, choices=choices)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        mean = np.mean([_scores(head, rows) for head in self._heads], axis=0)
        return self._trees._score(_beside(rows, mean))

    def _head_without(
        self, rows: FeatureTable, left_out: list[np.ndarray], seed: int
    ) -> SurvivalHead:
        kept = np.setdiff1d(np.arange(len(rows)), np.concatenate(left_out))
        return SurvivalHead(self.arm, self.settings).fit(rows.take(kept), seed)


def _scores(head: SurvivalHead, rows: FeatureTable) -> np.ndarray:
    return head.predict(rows, np.empty(0)).score


def _beside(table: FeatureTable, scores: np.ndarray) -> FeatureTable:
    """The table with one more column."""
    return dataclasses.replace(
        table,
        columns=table.columns.assign(**{SCORE.name: scores}),
        dictionary=DataDictionary([*table.dictionary, SCORE]),
    )
