"""What every report must beat: the floors, and the clinical reference."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Self

import numpy as np

from featurestore.cohort.folds import inner_folds
from featurestore.errors import ConfigError
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.ledger import witness
from fusion.metrics.logits import by_patient
from fusion.models.base import InnerPredictions
from fusion.models.grid import GridModel, RidgeLogistic
from fusion.models.inner import require_both_classes

PREDICTORS: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = (
    ("Breslow thickness", re.compile(r"breslow|tumou?r thickness"), ("numeric",)),
    ("ulceration", re.compile(r"ulcerat"), ("binary", "nominal", "ordinal")),
    ("age", re.compile(r"\bage\b"), ("numeric",)),
)
"""Predictors of the clinical reference: what they are, how a column's name, label or source says
so (words separated by spaces, lower case), and the kinds that can hold them."""

ANCHORS = ("Breslow thickness", "ulceration")
"""Without one of these a cohort has no staging predictors, and demographics stand in."""

DEMOGRAPHIC = "demographic"


@dataclasses.dataclass(frozen=True)
class ReferenceColumns:
    """Columns of the clinical reference.

    Attributes:
        names: Columns, in the order of `PREDICTORS` or of the dictionary.
        basis: What they stand for, for people.
    """

    names: tuple[str, ...]
    basis: str


def reference_columns(dictionary: DataDictionary) -> ReferenceColumns | None:
    """Finds Breslow thickness, ulceration and age; else demographics; None without either."""
    found = {
        what: column.name
        for what, pattern, kinds in PREDICTORS
        if (column := _first_match(dictionary, pattern, kinds)) is not None
    }
    if any(anchor in found for anchor in ANCHORS):
        return ReferenceColumns(tuple(found.values()), " + ".join(found))
    names = tuple(c.name for c in dictionary.features() if c.group == DEMOGRAPHIC)
    return ReferenceColumns(names, "demographics") if names else None


class Prevalence:
    """The training prevalence for everyone: knows how many, not who."""

    inner_: InnerPredictions
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def __init__(self, arm: Arm, config: AblationConfig) -> None:
        """Stores the parameters."""
        self.arm = arm
        self.config = config

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Takes the share of patients with the outcome.

        Raises:
            DataError: There are too few patients of either outcome.
        """
        require_both_classes(table)
        patients, y, _ = by_patient(table.patient_ids, table.y, table.y)
        groups = table.groups[np.unique(table.patient_ids.astype(str), return_index=True)[1]]
        probability = np.empty(len(y))
        n_folds = self.config.tuning.inner_folds
        for training, validation in inner_folds(patients, groups, y, n_folds, seed):
            probability[validation] = y[training].mean()
        witness("prevalence", "fitted on", patients)
        self._prevalence = float(y.mean())
        self.inner_ = InnerPredictions(patients, y, probability)
        self.choices_ = {"prevalence": self._prevalence}
        self.history_ = []
        return self

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        """The same probability for each row; shape (n,)."""
        return np.full(len(table), self._prevalence)


class ClinicalReference:
    """Logistic regression on Breslow thickness, ulceration and age, whatever the arm sees else.

    What a clinician knows without any model; where the cohort has neither thickness nor
    ulceration, demographics. `choices_` names the columns.
    """

    inner_: InnerPredictions
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def __init__(self, arm: Arm, config: AblationConfig) -> None:
        """Stores the parameters."""
        self.arm = arm
        self.config = config

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Fits on the reference columns.

        Raises:
            ConfigError: The cohort has no such columns.
            DataError: There are too few patients of either outcome, or no column varies.
        """
        self._columns = _require_reference(table.dictionary)
        narrowed = self._narrowed(table)
        groups = tuple(narrowed.dictionary.groups)
        arm = dataclasses.replace(self.arm, modalities=(Modality("clinical", groups=groups),))
        self._model = GridModel(arm, self.config, RidgeLogistic()).fit(narrowed, seed)
        self.inner_ = self._model.inner_
        self.choices_ = self._model.choices_ | {
            "columns": list(self._columns.names),
            "basis": self._columns.basis,
        }
        self.history_ = []
        return self

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        """Probability for each row; shape (n,)."""
        return self._model.predict_proba(self._narrowed(table))

    def _narrowed(self, table: FeatureTable) -> FeatureTable:
        names = self._columns.names
        return dataclasses.replace(
            table,
            embeddings={},
            dictionary=DataDictionary(c for c in table.dictionary if c.name in names),
        )


FLOORS = ("clinical_reference", "prevalence", "permuted_labels")
"""Models that every ablation has, in the order of the table."""


def with_floors(
    arms: tuple[Arm, ...], modalities: tuple[Modality, ...], dictionary: DataDictionary
) -> tuple[Arm, ...]:
    """Adds the clinical reference and the floors behind the arms that were asked for.

    A floor that is an arm already is not added again. A cohort without Breslow thickness,
    ulceration and demographics gets no clinical reference.

    Args:
        arms: Arms of the ablation.
        modalities: All modalities.
        dictionary: Patient columns.
    """
    have = {arm.model for arm in arms}
    added = []
    columns = reference_columns(dictionary)
    for model in FLOORS:
        if model in have or (model == "clinical_reference" and columns is None):
            continue
        seen: tuple[Modality, ...] = ()
        if model == "permuted_labels":
            seen = modalities
        elif model == "clinical_reference" and columns is not None:
            seen = _holding(columns, modalities, dictionary)
        added.append(Arm(model, model, seen))
    return (*arms, *added)


def _holding(
    columns: ReferenceColumns, modalities: tuple[Modality, ...], dictionary: DataDictionary
) -> tuple[Modality, ...]:
    """Modalities that the columns belong to, or one of their own where none has them."""
    holding = tuple(m for m in modalities if set(columns.names) & set(m.columns(dictionary)))
    if holding:
        return holding
    groups = dict.fromkeys(dictionary[name].group for name in columns.names)
    return (Modality("clinical", groups=tuple(groups)),)


def _require_reference(dictionary: DataDictionary) -> ReferenceColumns:
    columns = reference_columns(dictionary)
    if columns is None:
        raise ConfigError(
            "clinical_reference needs Breslow thickness, ulceration or columns of the group "
            f"{DEMOGRAPHIC!r}; the cohort has {', '.join(dictionary.names) or 'no columns'}"
        )
    return columns


def _first_match(
    dictionary: DataDictionary, pattern: re.Pattern[str], kinds: tuple[str, ...]
) -> Column | None:
    for column in dictionary.features():
        words = " ".join((column.name, column.label, column.source_column))
        if column.kind in kinds and pattern.search(re.sub(r"[_\W]+", " ", words).casefold()):
            return column
    return None
