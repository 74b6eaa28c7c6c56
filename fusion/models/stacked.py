"""Stacking: LightGBM on the fusion head's out-of-fold logit and the patient columns."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

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
        heads = nested_heads(
            rows,
            [validation for _, validation in folds],
            lambda kept: FusionHeadModel(self.arm, self.settings).fit(kept, seed),
            lambda head, asked: logit(head.predict_proba(asked)),
        )
        self._heads = heads.fitted
        seen = (*(m for m in self.arm.modalities if m.groups), _HEAD)
        data = encode_folds(
            beside(rows, LOGIT, heads.scores),
            [
                (beside(rows, LOGIT, own), *fold)
                for own, fold in zip(heads.nested, folds, strict=True)
            ],
            seen,
            self.settings.metadata,
        )
        arm = dataclasses.replace(self.arm, modalities=seen)
        self._trees = LightGbmModel(arm, self.settings, self.location)
        record = self._trees.fit_encoded(data, seed)
        return FitRecord(record.inner, record.choices | heads.choices())

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        logits = np.mean([logit(head.predict_proba(rows)) for head in self._heads], axis=0)
        return self._trees.predict_proba(beside(rows, LOGIT, logits))


class Chooses(Protocol):
    """A fitted head."""

    choices_: dict[str, Any]


H = TypeVar("H", bound=Chooses)


@dataclasses.dataclass(frozen=True)
class NestedHeads(Generic[H]):
    """Heads and what they say of rows that they have not seen; see `StackedModel`.

    Attributes:
        fitted: One head an inner fold, fitted without it.
        scores: Of each row by the head that was fitted without its fold. Shape (n,).
        nested: For each inner fold the scores of all rows as the fold may see them; (n,) each.
    """

    fitted: list[H]
    scores: np.ndarray
    nested: list[np.ndarray]

    def choices(self) -> dict[str, Any]:
        """What the heads chose, and how many were fitted, those of pairs of folds included."""
        k = len(self.fitted)
        heads = [head.choices_ for head in self.fitted]
        return {"heads": heads, "heads_fitted": k * (k + 1) // 2}


def nested_heads(
    rows: FeatureTable,
    parts: Sequence[np.ndarray],
    fit: Callable[[FeatureTable], H],
    score: Callable[[H, FeatureTable], np.ndarray],
) -> NestedHeads[H]:
    """Fits a head without each inner fold, and without each pair of them.

    Args:
        rows: The outer training part; n rows.
        parts: Integer validation rows of each inner fold.
        fit: Fits a head on rows.
        score: What a head says of rows.
    """

    def without(*left_out: np.ndarray) -> H:
        kept = np.setdiff1d(np.arange(len(rows)), np.concatenate(left_out))
        return fit(rows.take(kept))

    fitted = [without(part) for part in parts]
    scores = np.empty(len(rows))
    for part, head in zip(parts, fitted, strict=True):
        scores[part] = score(head, rows.take(part))
    nested = [np.zeros(len(rows)) for _ in parts]
    for j, k in itertools.combinations(range(len(parts)), 2):
        head = without(parts[j], parts[k])
        of_j, of_k = (score(head, rows.take(parts[i])) for i in (j, k))
        nested[j][parts[k]] = of_k
        nested[k][parts[j]] = of_j
        nested[j][parts[j]] += of_j / (len(parts) - 1)
        nested[k][parts[k]] += of_k / (len(parts) - 1)
    return NestedHeads(fitted, scores, nested)


def beside(table: FeatureTable, column: Column, values: np.ndarray) -> FeatureTable:
    """The table with one more column."""
    return dataclasses.replace(
        table,
        columns=table.columns.assign(**{column.name: values}),
        dictionary=DataDictionary([*table.dictionary, column]),
    )
