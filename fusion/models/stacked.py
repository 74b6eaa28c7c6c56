"""Stacking: LightGBM on the fusion head's out-of-fold logit and the patient columns."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from featurestore.tables import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.features import FeatureTable
from fusion.metrics import logit
from fusion.models.base import BaseModel, FitRecord
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.inner import encode_folds, folds_of_rows
from fusion.models.lightgbm import LightGbmModel
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation

LOGIT = Column("fusion_head_logit", "numeric", "fusion head", "Logit of the fusion head")
LEAST_FOLDS = 3
"""Of fewer inner folds nothing would be left for a head that two of them are kept from."""

_HEAD = Modality("fusion_head", groups=(LOGIT.group,))


class StackedModel(BaseModel):
    """Stacked generalisation (Wolpert 1992) behind the `Model` protocol, nested.

    One fusion head an inner fold is fitted without the fold; its logits on the fold's rows are the
    column that LightGBM learns from beside the arm's patient columns. New patients get the mean
    logit of these heads.

    Settings and rounds of LightGBM are chosen, and inner predictions made, by the same procedure
    inside each inner fold: heads that were fitted without the fold and one other give the fold's
    training rows their logits, and their mean gives those of its validation rows. With the heads of
    the final fit, these logits would have been learned from the outcomes of the validation rows.
    So k inner folds, at least `LEAST_FOLDS`, take k (k + 1) / 2 heads: 6 for 3, 15 for 5.
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
        folds = folds_of_rows(rows, max(self.settings.tuning.inner_folds, LEAST_FOLDS), seed)
        parts = [validation for _, validation in folds]
        every = range(len(parts))
        self._heads = [self._head_without(rows, [parts[k]], seed) for k in every]
        logits = np.empty(len(rows))
        for part, head in zip(parts, self._heads, strict=True):
            logits[part] = logit(head.predict_proba(rows.take(part)))
        nested = [np.zeros(len(rows)) for _ in every]
        for j, k in itertools.combinations(every, 2):
            head = self._head_without(rows, [parts[j], parts[k]], seed)
            of_j, of_k = (logit(head.predict_proba(rows.take(parts[i]))) for i in (j, k))
            nested[j][parts[k]] = of_k
            nested[k][parts[j]] = of_j
            nested[j][parts[j]] += of_j / (len(parts) - 1)
            nested[k][parts[k]] += of_k / (len(parts) - 1)
        seen = (*(m for m in self.arm.modalities if m.groups), _HEAD)
        data = encode_folds(
            _beside(rows, logits),
            [(_beside(rows, own), *fold) for own, fold in zip(nested, folds, strict=True)],
            seen,
            self.settings.metadata,
        )
        arm = dataclasses.replace(self.arm, modalities=seen)
        self._trees = LightGbmModel(arm, self.settings, self.location)
        record = self._trees.fit_encoded(data, seed)
        heads = [head.choices_ for head in self._heads]
        fitted = len(parts) * (len(parts) + 1) // 2
        return FitRecord(record.inner, record.choices | {"heads": heads, "heads_fitted": fitted})

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        logits = np.mean([logit(head.predict_proba(rows)) for head in self._heads], axis=0)
        return self._trees.predict_proba(_beside(rows, logits))

    def _head_without(
        self, rows: FeatureTable, left_out: list[np.ndarray], seed: int
    ) -> FusionHeadModel:
        kept = np.setdiff1d(np.arange(len(rows)), np.concatenate(left_out))
        return FusionHeadModel(self.arm, self.settings).fit(rows.take(kept), seed)


def _beside(table: FeatureTable, logits: np.ndarray) -> FeatureTable:
    """The table with one more column."""
    return dataclasses.replace(
        table,
        columns=table.columns.assign(**{LOGIT.name: logits}),
        dictionary=DataDictionary([*table.dictionary, LOGIT]),
    )
