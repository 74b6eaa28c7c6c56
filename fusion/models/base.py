"""The protocol that every model of an ablation arm follows, and the base that fits one safely."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from featurestore.errors import DataError
from featurestore.units import counted
from fusion.arms import Arm
from fusion.features import Arrays, FeatureTable
from fusion.metrics import by_patient, sigmoid
from fusion.models.settings import Settings


@dataclasses.dataclass(frozen=True)
class InnerPredictions:
    """Predictions on training patients by fits that had not seen them; shape (n,) each.

    They decide thresholds (and later calibration); nothing of the outer test part is in them.
    """

    patient_ids: np.ndarray
    y: np.ndarray
    probability: np.ndarray

    @classmethod
    def of_rows(cls, patient_ids: np.ndarray, y: np.ndarray, probability: np.ndarray) -> Self:
        """Patients' probabilities, of their mean logits, from those of their rows; (n,) each."""
        patients, truth, score = by_patient(patient_ids, y, probability)
        return cls(patients, truth, sigmoid(score))


class Model(Protocol):
    """A model of one arm.

    The constructor stores parameters and the modalities it may look at; `fit` learns everything
    (preprocessing, tuning, early stopping) from the table it is given and nothing else.

    Attributes:
        inner_: After `fit`: out-of-sample predictions inside the training table.
        choices_: After `fit`: what was chosen inside (hyperparameters, epochs, …), JSON types.
        history_: After `fit`: per-epoch records of training curves, or empty.
    """

    inner_: InnerPredictions
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Learns from all rows of `table`; same table and seed give the same model on CPU."""
        ...

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        """Probability of the outcome for each row, shape (n,), values in [0, 1]."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """A model whose score has a gradient with respect to embeddings, and that can be kept."""

    def embedding_gradients(self, table: FeatureTable) -> dict[str, np.ndarray]:
        """Gradient of each row's log odds; per backbone (n, D)."""
        ...

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """What predictions and gradients need, as JSON and arrays."""
        ...

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The model again, from what `to_state` gave."""
        ...


@dataclasses.dataclass(frozen=True)
class FitRecord:
    """What a fit tells beside the model itself; see `Model`.

    Attributes:
        inner: Predictions on training patients by fits that had not seen them.
        choices: What was chosen inside, JSON types.
        history: Training curves.
    """

    inner: InnerPredictions
    choices: dict[str, Any]
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


class BaseModel(abc.ABC):
    """What all models share: they see rows in one order, both outcomes, and a clean slate.

    The last bits of a sum or of a matrix product can depend on the place of a row in it, so rows
    are sorted by patient before they are fitted or scored. A subclass fits in `_fit` and scores in
    `_probability`.

    Attributes:
        arm: Its modalities are the inputs.
        settings: The sections of the configuration that the registry declares for the model.
        inner_: See `Model`.
        choices_: See `Model`.
        history_: See `Model`.
    """

    inner_: InnerPredictions
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def __init__(self, arm: Arm, settings: Settings) -> None:
        """Stores the parameters; see `BaseModel`."""
        self.arm = arm
        self.settings = settings

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Fits all rows anew, whatever was fitted before.

        Args:
            table: The outer training rows; their order does not matter.
            seed: Decides everything that is drawn: inner folds, initial weights, trials, …

        Raises:
            DataError: There are too few patients of either outcome, or a modality is absent.
            ConfigError: A setting cannot be used with this table.
        """
        require_both_classes(table)
        record = self._fit(table.take(canonical_order(table)), seed)
        self.inner_ = record.inner
        self.choices_ = record.choices
        self.history_ = record.history
        return self

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        """Probability for each row; shape (n,).

        Raises:
            DataError: A backbone, a patient column or an image is absent, or cannot be used.
        """
        if len(table) == 0:
            return np.empty(0)
        order = canonical_order(table)
        probability = np.empty(len(table))
        probability[order] = self._probability(table.take(order))
        return probability

    @abc.abstractmethod
    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        """Learns from rows in canonical order, of both outcomes; keeps nothing of earlier fits."""

    @abc.abstractmethod
    def _probability(self, rows: FeatureTable) -> np.ndarray:
        """Probability of each row; at least one, in canonical order. Shape (n,)."""


def canonical_order(table: FeatureTable) -> np.ndarray:
    """Rows by patient, then row id: the order of a table must not change a fit's last bits."""
    return np.lexsort((table.row_ids.astype(str), table.patient_ids.astype(str)))


def require_both_classes(table: FeatureTable) -> None:
    """Refuses a training part with one outcome only.

    Raises:
        DataError: No patient, or only patients of one outcome.
    """
    patients = len(np.unique(table.patient_ids.astype(str)))
    if len(np.unique(table.y)) < 2:
        kind = "with" if len(table) and table.y[0] == 1 else "without"
        raise DataError(
            f"the training part has {counted(patients, 'observation')}, all {kind} the outcome; a "
            "model needs "
            f"both: use fewer folds or more data"
        )
