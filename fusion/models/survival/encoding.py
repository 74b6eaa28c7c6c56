"""Outer training parts encoded as matrices, as a whole and inner fold by inner fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features import FeatureTable, TabularEncoder
from fusion.models.settings import Settings
from fusion.models.survival.patients import Patients, folds_of, patients_of


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Rows as a comparator sees them.

    Attributes:
        x: Encoded features; float64 (n, q).
        patients: Their patients, p of them.
    """

    x: np.ndarray
    patients: Patients

    @property
    def means(self) -> np.ndarray:
        """Mean features of each patient; shape (p, q)."""
        return self.patients.mean(self.x)


@dataclasses.dataclass(frozen=True)
class InnerFold:
    """One inner fold, encoded by an encoder that saw its training rows only.

    Attributes:
        training: Rows to fit on.
        validation: Rows to score.
        places: Positions of the validation patients among all training patients.
    """

    training: Encoded
    validation: Encoded
    places: np.ndarray


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """An outer training part.

    Attributes:
        encoder: Fitted on all rows.
        whole: All rows.
        folds: Inner folds; their validation patients together are all patients.
    """

    encoder: TabularEncoder
    whole: Encoded
    folds: tuple[InnerFold, ...]

    def out_of_fold(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Puts the scores of all folds' validation patients in order of the patients; (p,)."""
        result = np.empty(len(self.whole.patients))
        for fold, score in zip(self.folds, scores, strict=True):
            result[fold.places] = score
        return result


def encode_training(
    table: FeatureTable,
    patients: Patients,
    modalities: tuple[Modality, ...],
    settings: Settings,
    seed: int,
) -> TrainingData:
    """Folds and encodes an outer training part.

    Args:
        table: Outer training rows, in canonical order.
        patients: Their patients.
        modalities: Modalities of the arm.
        settings: Inner folds and preprocessing.
        seed: Seed of the inner folds.

    Raises:
        DataError: Too few groups with the event, or a modality is absent or says nothing.
    """
    folds = folds_of(patients, settings.tuning.inner_folds, seed)
    seen = [(table, *fold) for fold in folds]
    return encode_folds(table, patients, seen, modalities, settings.metadata)


def encode_folds(
    table: FeatureTable,
    patients: Patients,
    folds: Sequence[tuple[FeatureTable, np.ndarray, np.ndarray]],
    modalities: tuple[Modality, ...],
    metadata: MetadataConfig,
) -> TrainingData:
    """Encodes an outer training part as a whole, and each inner fold by its own training rows.

    Args:
        table: Outer training rows, in canonical order.
        patients: Their patients.
        folds: For each fold the rows as it may see them, in the order of `table`, and the places
            of its training and of its validation patients.
        modalities: Modalities of the arm.
        metadata: Preprocessing.

    Raises:
        DataError: A modality is absent, or says nothing in training.
    """
    made = []
    for seen, training, validation in folds:
        fitted = seen.take(patients.rows_of(training))
        encoder = TabularEncoder(modalities, metadata).fit(fitted)
        held_out = seen.take(patients.rows_of(validation))
        made.append(InnerFold(_encode(encoder, fitted), _encode(encoder, held_out), validation))
    encoder = TabularEncoder(modalities, metadata).fit(table)
    return TrainingData(encoder, Encoded(encoder.transform(table), patients), tuple(made))


def _encode(encoder: TabularEncoder, table: FeatureTable) -> Encoded:
    return Encoded(encoder.transform(table), patients_of(table))
