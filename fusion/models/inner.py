"""What every comparator does inside the outer training part: fold, encode, collect.

Encoders are fitted once an inner fold, on its training rows only; every candidate and every trial
of a tuning reuses the matrices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from featurestore.cohort.folds import inner_folds
from fusion import metrics
from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.metrics.logits import by_patient, sigmoid
from fusion.models.base import InnerPredictions


@dataclasses.dataclass(frozen=True)
class EncodedRows:
    """Rows as a comparator sees them.

    Attributes:
        x: Encoded features; float64 (n, p).
        y: Outcome, 0.0 or 1.0; shape (n,).
        weights: 1 / (rows of the patient), so that every patient counts once; shape (n,).
        patient_ids: Patient of each row; shape (n,).
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    patient_ids: np.ndarray


@dataclasses.dataclass(frozen=True)
class InnerFold:
    """One inner fold, encoded by an encoder that saw its training rows only.

    Attributes:
        training: Rows to fit on.
        validation: Rows to score.
        rows: Where the validation rows stand in the training table; integers.
    """

    training: EncodedRows
    validation: EncodedRows
    rows: np.ndarray


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """An outer training part, encoded as a whole and fold by fold.

    Attributes:
        encoder: Fitted on all rows.
        whole: All rows, by patient and row id.
        folds: Inner folds; their validation rows together are all rows.
    """

    encoder: TabularEncoder
    whole: EncodedRows
    folds: tuple[InnerFold, ...]

    def out_of_fold(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Puts the validation scores of all folds in the order of `whole`; shape (n,)."""
        result = np.empty(len(self.whole.y))
        for fold, score in zip(self.folds, scores, strict=True):
            result[fold.rows] = score
        return result


def encode_training(
    table: FeatureTable,
    modalities: tuple[Modality, ...],
    metadata: MetadataConfig,
    n_folds: int,
    seed: int,
) -> TrainingData:
    """Folds and encodes an outer training part.

    Args:
        table: Outer training rows of both outcomes, in canonical order.
        modalities: Modalities of the arm.
        metadata: Preprocessing.
        n_folds: Inner folds.
        seed: Seed of the inner folds.

    Raises:
        DataError: Too few patients of either outcome for the inner folds, or a modality is absent.
    """
    folds = []
    for training_rows, validation_rows in inner_folds(
        table.patient_ids, table.groups, table.y, n_folds, seed
    ):
        training = table.take(training_rows)
        encoder = TabularEncoder(modalities, metadata).fit(training)
        validation = table.take(validation_rows)
        rows = np.arange(len(table))[validation_rows]
        folds.append(InnerFold(_encode(encoder, training), _encode(encoder, validation), rows))
    encoder = TabularEncoder(modalities, metadata).fit(table)
    return TrainingData(encoder, _encode(encoder, table), tuple(folds))


def inner_predictions(rows: EncodedRows, probability: np.ndarray) -> InnerPredictions:
    """Patients' probabilities (of mean logits) from rows' out-of-fold probabilities."""
    patients, y, score = by_patient(rows.patient_ids, rows.y, probability)
    return InnerPredictions(patients, y, sigmoid(score))


def patient_log_loss(rows: EncodedRows, probability: np.ndarray) -> float:
    """Mean log-loss over patients; finite, because logits are."""
    _, y, score = by_patient(rows.patient_ids, rows.y, probability)
    return float(np.mean(np.logaddexp(0.0, score) - y * score))


def patient_auroc(rows: EncodedRows, probability: np.ndarray) -> float:
    """AUROC over patients."""
    _, y, score = by_patient(rows.patient_ids, rows.y, probability)
    return float(metrics.auroc(y, score)[0])


def _encode(encoder: TabularEncoder, table: FeatureTable) -> EncodedRows:
    return EncodedRows(encoder.transform(table), table.y, table.row_weights(), table.patient_ids)
