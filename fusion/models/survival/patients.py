"""Patients behind the rows of a feature table: their follow-up, and who owns which row."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.cohort import inner_folds
from featurestore.errors import DataError
from fusion.features import FeatureTable
from fusion.metrics.survival import EVENT, Times, checked_times

COMPETING = 2
"""Code of a competing event, as a target has it."""


@dataclasses.dataclass(frozen=True)
class Patients:
    """Patients of a table, sorted by id.

    Attributes:
        ids: Shape (p,).
        times: Follow-up, one a patient.
        groups: Group that must not be split. Shape (p,).
        place: Position of each row's patient in `ids`. Shape (n,).
        counts: Rows of each patient. Shape (p,).
    """

    ids: np.ndarray
    times: Times
    groups: np.ndarray
    place: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def events(self) -> np.ndarray:
        """1.0 where the event was seen; shape (p,)."""
        return (self.times.event == EVENT).astype(float)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over the rows of each patient, so that every patient counts once.

        Args:
            values: Shape (n,) or (n, columns).

        Returns:
            Shape (p,) or (p, columns).
        """
        total = np.zeros((len(self), *values.shape[1:]))
        np.add.at(total, self.place, values)
        counts = self.counts if values.ndim == 1 else self.counts[:, None]
        return np.asarray(total / counts)

    def rows_of(self, places: np.ndarray) -> np.ndarray:
        """Integer rows of some patients, in the order of the table."""
        wanted = np.zeros(len(self), dtype=bool)
        wanted[places] = True
        return np.flatnonzero(wanted[self.place])


def patients_of(table: FeatureTable) -> Patients:
    """Patients of a table whose outcome is a time to an event.

    Raises:
        DataError: The outcome is of another kind, there is no row, or follow-up is not sound.
    """
    target = table.target
    if target.time is None or target.entry is None:
        raise DataError(
            f"a model of times to an event was given outcomes of the kind {target.kind!r}"
        )
    if not len(table):
        raise DataError("the training part has no patient")
    ids, first, place, counts = patient_rows(table)
    times = checked_times(
        target.time[first], target.event[first], target.entry[first], codes=(0, EVENT, COMPETING)
    )
    return Patients(ids, times, table.groups[first], place, counts)


def patient_rows(
    table: FeatureTable,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sorted patients, a row of each, the position of each row's patient, and their rows."""
    return np.unique(
        table.patient_ids.astype(str), return_index=True, return_inverse=True, return_counts=True
    )


def folds_of(patients: Patients, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inner folds: the places of each fold's training and of its validation patients.

    Stratified by who had the event.

    Args:
        patients: Of the outer training part.
        n_folds: Number of folds.
        seed: Seed of the shuffle.

    Raises:
        DataError: Too few groups of patients had the event.
    """
    seen = patients.events
    return inner_folds(patients.ids, patients.groups, seen, n_folds, seed, "time_to_event")
