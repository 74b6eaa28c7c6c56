"""Stacking: LightGBM on the fusion head's out-of-fold logit and the patient columns."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np

from featurestore.cohort.folds import inner_folds
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.metrics.logits import logit
from fusion.models.base import InnerPredictions
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.inner import canonical_order, require_both_classes
from fusion.models.lightgbm import LightGbmModel
from fusion.models.tuning import StudyLocation

LOGIT = Column("fusion_head_logit", "numeric", "fusion head", "Logit of the fusion head")
_HEAD = Modality("fusion_head", groups=(LOGIT.group,))


class StackedModel:
    """Stacked generalisation (Wolpert 1992) behind the `Model` protocol.

    One fusion head an inner fold is fitted on the fold's training rows; its logits on the fold's
    validation rows, which it has not seen, are the column that LightGBM learns from beside the
    arm's patient columns. New patients get the mean logit of these heads.
    """

    inner_: InnerPredictions
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def __init__(
        self, arm: Arm, config: AblationConfig, location: StudyLocation | None = None
    ) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the head's inputs; those of patient columns also LightGBM's.
            config: Head, tuning and preprocessing.
            location: Where LightGBM's study is kept; by default in memory.
        """
        self.arm = arm
        self.config = config
        self.location = location

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Fits the heads, then LightGBM on their out-of-fold logits.

        Raises:
            DataError: There are too few patients of either outcome, or a modality is absent.
            ConfigError: The storage of the study cannot be used.
        """
        require_both_classes(table)
        rows = table.take(canonical_order(table))
        patients, first = np.unique(rows.patient_ids.astype(str), return_index=True)
        folds = inner_folds(
            patients, rows.groups[first], rows.y[first], self.config.tuning.inner_folds, seed
        )
        logits = np.empty(len(rows))
        self._heads = []
        for training, validation in folds:
            head = FusionHeadModel(self.arm, self.config.head, self.config.metadata)
            head.fit(rows.of_patients(patients[training]), seed)
            held_out = np.isin(rows.patient_ids.astype(str), patients[validation])
            logits[held_out] = logit(head.predict_proba(rows.take(held_out)))
            self._heads.append(head)
        seen = (*(m for m in self.arm.modalities if m.groups), _HEAD)
        arm = dataclasses.replace(self.arm, modalities=seen)
        trees = LightGbmModel(arm, self.config, self.location).fit(_beside(rows, logits), seed)
        self._trees = trees
        self.inner_ = trees.inner_
        self.history_ = []
        self.choices_ = trees.choices_ | {"heads": [head.choices_ for head in self._heads]}
        return self

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        """Probability for each row; shape (n,)."""
        if len(table) == 0:
            return np.empty(0)
        logits = np.mean([logit(head.predict_proba(table)) for head in self._heads], axis=0)
        return self._trees.predict_proba(_beside(table, logits))


def _beside(table: FeatureTable, logits: np.ndarray) -> FeatureTable:
    """The table with one more column."""
    return dataclasses.replace(
        table,
        columns=table.columns.assign(**{LOGIT.name: logits}),
        dictionary=DataDictionary([*table.dictionary, LOGIT]),
    )
