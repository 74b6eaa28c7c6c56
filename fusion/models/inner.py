"""What models do inside the outer training part: hold out, fold, encode, collect.

Encoders are fitted once an inner fold, on its training rows only; every candidate and every trial
of a tuning reuses the matrices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from featurestore.cohort import inner_folds, inner_split
from fusion import metrics
from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features import FeatureTable, TabularEncoder
from fusion.metrics import by_patient


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


def held_out_part(
    table: FeatureTable, fraction: float, seed: int
) -> tuple[FeatureTable, FeatureTable]:
    """Splits into rows to fit on, and those of a share of the patients that select the epoch.

    Raises:
        DataError: There are too few patients of either outcome.
    """
    held_out = inner_split(table.patient_ids, table.groups, table.y, fraction, seed)
    return table.take(~held_out), table.take(held_out)


def folds_of_rows(
    table: FeatureTable, n_folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inner folds: the integer rows of each fold's training and of its validation part.

    Raises:
        DataError: There are too few patients of either outcome.
    """
    return inner_folds(table.patient_ids, table.groups, table.y, n_folds, seed)


def folds_of_patients(
    table: FeatureTable, n_folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """The same folds, of patients: their sorted ids, their outcomes, and each fold's places.

    Raises:
        DataError: There are too few patients of either outcome.
    """
    patients, y, _ = by_patient(table.patient_ids, table.y, table.y)
    groups = table.groups[np.unique(table.patient_ids.astype(str), return_index=True)[1]]
    return patients, y, inner_folds(patients, groups, y, n_folds, seed)


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
    folds = folds_of_rows(table, n_folds, seed)
    return encode_folds(table, [(table, *fold) for fold in folds], modalities, metadata)


def encode_folds(
    table: FeatureTable,
    folds: Sequence[tuple[FeatureTable, np.ndarray, np.ndarray]],
    modalities: tuple[Modality, ...],
    metadata: MetadataConfig,
) -> TrainingData:
    """Encodes an outer training part as a whole, and each inner fold by its own training rows.

    Args:
        table: Outer training rows.
        folds: For each fold the rows as it may see them, in the order of `table`, and the integer
            rows of its training and of its validation part.
        modalities: Modalities of the arm.
        metadata: Preprocessing.

    Raises:
        DataError: A modality is absent, or says nothing in training.
    """
    encoded = []
    for seen, training_rows, validation_rows in folds:
        training = seen.take(training_rows)
        encoder = TabularEncoder(modalities, metadata).fit(training)
        validation = _encode(encoder, seen.take(validation_rows))
        encoded.append(InnerFold(_encode(encoder, training), validation, validation_rows))
    encoder = TabularEncoder(modalities, metadata).fit(table)
    return TrainingData(encoder, _encode(encoder, table), tuple(encoded))


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
