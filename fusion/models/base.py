"""The protocol that every model of an ablation arm follows, heads and comparators alike."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from fusion.features.table import FeatureTable


@dataclasses.dataclass(frozen=True)
class InnerPredictions:
    """Predictions on training patients by fits that had not seen them; shape (n,) each.

    They decide thresholds (and later calibration); nothing of the outer test part is in them.
    """

    patient_ids: np.ndarray
    y: np.ndarray
    probability: np.ndarray


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
    """A model whose score has a gradient with respect to embeddings."""

    def embedding_gradients(self, table: FeatureTable) -> dict[str, np.ndarray]:
        """Gradient of each row's log odds; per backbone (n, D)."""
        ...
