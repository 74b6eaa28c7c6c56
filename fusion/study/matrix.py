"""A study's features as plain arrays, for models that are fitted outside of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from featurestore.cohort import Folds
from featurestore.cohort.folds import FoldKey
from featurestore.tables import Column
from fusion.arms import Modality
from fusion.endpoints import find_endpoint
from fusion.features import FeatureTable


@dataclasses.dataclass(frozen=True)
class Split:
    """One outer fold.

    Attributes:
        repeat: Its repeat.
        fold: Its number.
        train: Positions of the patients to learn from.
        test: Positions of the patients to predict.
    """

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class Matrix:
    """One row a patient, nothing of it fitted: whatever learns from it must do so inside a fold.

    Attributes:
        X: float64 (n, p). Embeddings are means over a patient's images; nominal columns are one
            column a level, ordinal ones the number of their level. NaN where missing.
        names: Of the columns of X: `resnet18_0007`, `breslow`, `sex=male`.
        ids: Patients, sorted. Shape (n,).
        y: 1 where the event was seen, else 0 (2: a competing event). Shape (n,).
        time: Days to the event or the end of follow-up; None of binary outcomes. Shape (n,).
        entry: Days at which a patient came under observation; None of binary outcomes.
        groups: What must not be split between training and test. Shape (n,).
        folds: The fold that tests each patient, one row a repeat; -1 outside a single fold that
            was asked for. Shape (repeats, n).
        kind: Kind of the outcome.
    """

    X: np.ndarray
    names: tuple[str, ...]
    ids: np.ndarray
    y: np.ndarray
    time: np.ndarray | None
    entry: np.ndarray | None
    groups: np.ndarray
    folds: np.ndarray
    kind: str = "binary"
    splits: tuple[Split, ...] = ()

    def predictions(self, split: Split, values: np.ndarray) -> pd.DataFrame:
        """What a model says of a split's test patients, as `Study.score` takes it.

        Args:
            split: One of `splits`.
            values: Probability of the event, or of times a score that rises with the risk, in the
                order of `split.test`. Shape (test patients,).
        """
        column = "probability" if "probability" in find_endpoint(self.kind).predictions else "score"
        return pd.DataFrame(
            {
                "patient_id": self.ids[split.test],
                "repeat": split.repeat,
                "fold": split.fold,
                column: np.asarray(values, dtype=float),
            }
        )


def matrix_of(
    table: FeatureTable, modalities: Sequence[Modality], folds: Folds, keys: Sequence[FoldKey]
) -> Matrix:
    """Builds the matrix.

    Args:
        table: Features of all patients, pictures only.
        modalities: What goes into X, in order.
        folds: Frozen outer folds.
        keys: The folds that these features may be used in.
    """
    ids, first, place = np.unique(
        table.patient_ids.astype(str), return_index=True, return_inverse=True
    )
    blocks = [b for m in modalities for b in _blocks(table, m, first, place)]
    names = tuple(name for own, _ in blocks for name in own)
    values = np.column_stack([v for _, v in blocks]) if blocks else np.empty((len(ids), 0))
    repeats = sorted({repeat for repeat, _ in keys})
    position = {patient: k for k, patient in enumerate(ids)}
    tested = np.full((len(repeats), len(ids)), -1)
    splits = []
    for repeat, fold in keys:
        key = (repeat, fold)
        test = np.array([position[p] for p in folds.test(key)])
        train = np.array([position[p] for p in folds.training(key)])
        tested[repeats.index(repeat), test] = fold
        splits.append(Split(repeat, fold, train, test))
    target = table.target.take(first)
    return Matrix(
        X=values,
        names=names,
        ids=ids,
        y=target.event.astype(int),
        time=target.time,
        entry=target.entry,
        groups=table.groups[first].astype(str),
        folds=tested,
        kind=target.kind,
        splits=tuple(splits),
    )


def _blocks(
    table: FeatureTable, modality: Modality, first: np.ndarray, place: np.ndarray
) -> Iterator[tuple[list[str], np.ndarray]]:
    for name in modality.embeddings:
        matrix = table.embeddings[name]
        digits = len(str(matrix.shape[1] - 1))
        yield (
            [f"{name}_{k:0{digits}d}" for k in range(matrix.shape[1])],
            _mean_rows(matrix, place, len(first)),
        )
    for column in (table.dictionary[n] for n in modality.columns(table.dictionary)):
        yield _plain(column, table.columns[column.name].iloc[first])


def _mean_rows(matrix: np.ndarray, place: np.ndarray, patients: int) -> np.ndarray:
    """Mean over the rows of each patient that have an embedding; (patients, D)."""
    has = ~np.isnan(matrix).all(axis=1)
    total = np.zeros((patients, matrix.shape[1]))
    np.add.at(total, place[has], matrix[has].astype(float))
    counts = np.bincount(place[has], minlength=patients)
    return np.where(counts[:, None] > 0, total / np.maximum(counts, 1)[:, None], np.nan)


def _plain(column: Column, values: pd.Series) -> tuple[list[str], np.ndarray]:
    """A patient column as numbers, without anything that is fitted."""
    if column.kind == "nominal":
        known = values.notna().to_numpy()
        hot = [np.where(known, (values == level).to_numpy(), np.nan) for level in column.levels]
        names = [f"{column.name}={level}" for level in column.levels]
        return names, np.column_stack(hot) if hot else np.empty((len(values), 0))
    if column.kind == "ordinal":
        order = {level: float(k) for k, level in enumerate(column.levels)}
        return [column.name], values.map(order).to_numpy(dtype=float)
    return [column.name], values.to_numpy(dtype=float)
