"""One imputation of patient columns by chained equations, drawn and not averaged.

Each column is regressed on the others (Bayesian ridge) in turns, and missing values are drawn from
what the regression leaves open (van Buuren & Groothuis-Oudshoorn 2011, by scikit-learn's
`IterativeImputer`). The outcome is not used: patients to be scored have none, and an imputation
that knows it in training only differs from that at prediction (Sisk et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from scipy.stats import skew
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from featurestore.tables import Column, places, spans
from fusion.ledger import witness

ROUNDS = 10
"""Turns over all columns."""

NEAREST = 20
"""Most columns that one is regressed on, drawn anew by correlation where there are more."""

MOST_LEVELS = 10
"""Levels of a nominal column that are told apart, the most frequent ones."""

SKEWED = 1.0
"""Skewness from which on a column without negative values is imputed as its logarithm."""


class ColumnImputer:
    """Draws missing values of numeric, binary, ordinal and nominal columns; others stay.

    A drawn value is one that the column can have: 0 or 1, a level, a number in the range of
    training. Known values stay as they are, levels without a place too.
    """

    def __init__(self, columns: Sequence[Column], seed: int) -> None:
        """Stores what to impute.

        Args:
            columns: Columns that inform one another.
            seed: Decides what is drawn.
        """
        self._columns = tuple(columns)
        self._seed = seed
        self._views: list[_View] = []

    def fit(self, frame: pd.DataFrame, patient_ids: np.ndarray) -> Self:
        """Learns the regressions.

        Args:
            frame: Patient columns, a row a patient; shape (patients, ≥ columns).
            patient_ids: Who they are. Shape (patients,).
        """
        witness("imputation", "fitted on", patient_ids)
        made = (_view(column, frame[column.name]) for column in self._columns)
        self._views = [view for view in made if view is not None]
        if not self._views:
            return self
        low, high = (
            np.concatenate([np.broadcast_to(end, len(view.mean)) for view, end in ends])
            for ends in (
                [(view, view.low) for view in self._views],
                [(view, view.high) for view in self._views],
            )
        )
        width = len(low)
        self._imputer = IterativeImputer(
            sample_posterior=True,
            max_iter=ROUNDS,
            n_nearest_features=NEAREST if width > NEAREST + 1 else None,
            skip_complete=True,
            min_value=low,
            max_value=high,
            random_state=self._seed,
        )
        self._imputer.fit(self._matrix(frame))
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Completes patients; the same frame gives the same draws.

        Args:
            frame: Patient columns, a row a patient.

        Returns:
            A copy. A column of which training knew nothing keeps its gaps.
        """
        completed = frame.copy()
        if not self._views or not len(frame):
            return completed
        self._imputer.random_state_ = np.random.RandomState(self._seed % 2**32)
        drawn = self._imputer.transform(self._matrix(frame))
        start = 0
        for view in self._views:
            name, width = view.column.name, len(view.mean)
            values = drawn[:, start : start + width] * view.scale + view.mean
            gaps = frame[name].isna().to_numpy(dtype=bool)
            filled = completed[name].astype(object if view.levels else float)
            filled[gaps] = view.decoded(values)[gaps]
            completed[name] = filled
            start += width
        return completed

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        return np.hstack([view.scaled(frame[view.column.name]) for view in self._views])


class _View:
    """One column as numbers with mean 0 and variance 1 in training; one a level but the first."""

    def __init__(self, column: Column, levels: tuple[str, ...], logarithmic: bool) -> None:
        self.column, self.levels, self.logarithmic = column, levels, logarithmic
        self.mean, self.scale = np.zeros(1), np.ones(1)
        self.low, self.high = -np.inf, np.inf

    def raw(self, values: pd.Series) -> np.ndarray:
        """Shape (n, width); NaN where missing, or a level without a place."""
        if self.column.kind == "nominal":
            others = self.levels[1:]  # all of them would say each other without error
            hot = np.array([[v == x for x in others] for v in values.astype(object)], dtype=float)
            hot = hot.reshape(len(values), len(others))
            hot[values.isna().to_numpy(dtype=bool)] = np.nan
            return hot
        if self.column.kind == "ordinal":
            placed = values.astype(object).map(places(self.column.levels), na_action="ignore")
            numbers = placed.to_numpy(dtype=float, na_value=np.nan)
        else:
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
        return np.log1p(numbers)[:, None] if self.logarithmic else numbers[:, None]

    def scaled(self, values: pd.Series) -> np.ndarray:
        """Shape (n, width)."""
        return (self.raw(values) - self.mean) / self.scale

    def decoded(self, drawn: np.ndarray) -> np.ndarray:
        """Values that the column can have, nearest to what was drawn; shape (n,)."""
        if self.column.kind == "nominal":
            shares = np.column_stack([1 - drawn.sum(axis=1), drawn])
            return np.array(self.levels, dtype=object)[shares.argmax(axis=1)]
        number = drawn[:, 0]
        if self.column.kind == "ordinal":
            ends = spans(self.column.levels)
            steps = np.array([ends[level][0] for level in self.levels])
            nearest = np.abs(number[:, None] - steps).argmin(axis=1)
            return np.array(self.levels, dtype=object)[nearest]
        if self.column.kind == "binary":
            return (number > 0.5).astype(float)
        return np.expm1(number) if self.logarithmic else number


def _view(column: Column, values: pd.Series) -> _View | None:
    """Fits a view on training values; None where nothing is known, or all are the same."""
    known = values.dropna()
    if column.kind == "expression" or known.nunique() < 2:
        return None
    levels: tuple[str, ...] = ()
    if column.kind == "nominal":
        common = known.astype(str).value_counts(sort=False).sort_index()
        levels = tuple(common.sort_values(ascending=False, kind="stable").index[:MOST_LEVELS])
    elif column.kind == "ordinal":
        ends = spans(column.levels)
        levels = tuple(x for x in column.levels if x in ends and ends[x][0] == ends[x][1])
    numbers = known.to_numpy(dtype=float) if column.kind == "numeric" else np.zeros(1)
    view = _View(column, levels, bool(numbers.min() >= 0 and skew(numbers) > SKEWED))
    raw = view.raw(values)
    if np.isnan(raw).all() or not np.nanstd(raw, axis=0).any():
        return None
    view.mean, scale = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
    view.scale = np.where(scale > 0, scale, 1.0)
    if column.kind == "numeric":
        ends_of = (np.array([np.nanmin(raw), np.nanmax(raw)]) - view.mean) / view.scale
        view.low, view.high = float(ends_of[0]), float(ends_of[1])
    return view
