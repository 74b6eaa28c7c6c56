"""Patient columns to numbers: imputation, scaling, encoding and expression reduction.

Fitted on training patients only, each counted once; saved as plain data. For every kind of column:

| kind | value | missing |
|---|---|---|
| numeric | MinMax to [0, 1] of training, clipped to [-0.5, 1.5] | median + indicator |
| binary | 0 or 1 | median (the mode) + indicator |
| ordinal | place of the level, scaled to [0, 1] | median + indicator |
| nominal | one output a training level | zeros + indicator; so are unknown levels |
| expression | log2, standardised, principal components | training mean; none known: indicator |

An indicator exists where training had both missing and known values. Where training had no missing
value, a missing one at prediction is imputed in the same way, without a sign that no weight was
fitted for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables import Column, DataDictionary
from fusion.features.arrays import Arrays, below
from fusion.features.blocks import (
    BLOCKS,
    Block,
    ExpressionBlock,
    OneHotColumn,
    OutputFeature,
    ScaledColumn,
    fit_expression,
    fit_one_hot,
    fit_scaled,
)
from fusion.features.measured import known, matrix_of
from fusion.ledger import witness

__all__ = ["MetadataEncoder", "OutputFeature"]


class MetadataEncoder:
    """Encodes patient columns, with the habits of a scikit-learn transformer.

    Attributes:
        features_: What each output is; shape of the encoded matrix is (n, len(features_)).
        dropped_: Columns that say nothing in training (constant or wholly missing) and therefore
            have no output.
    """

    features_: tuple[OutputFeature, ...]
    dropped_: tuple[str, ...]

    def __init__(
        self, columns: Sequence[Column], expression_components: int, indicators: bool = True
    ) -> None:
        """Stores what to encode.

        Args:
            columns: The columns to use; others of a frame are ignored.
            expression_components: Principal components of the expression columns of each group;
                0 keeps the standardised columns.
            indicators: Whether an output says that a value was missing.
        """
        self.columns = tuple(columns)
        self.indicators = indicators
        self.expression_components = expression_components
        self._blocks: tuple[Block, ...] = ()

    @property
    def feature_names_(self) -> list[str]:
        """Names of the outputs, in order."""
        return [feature.name for feature in self.features_]

    def fit(self, frame: pd.DataFrame, patient_ids: np.ndarray | None = None) -> Self:
        """Learns imputation, scaling, levels and components.

        Args:
            frame: Raw typed columns of the training rows; shape (n, ≥ columns).
            patient_ids: Patient of each row, so that a patient with several rows counts once; by
                default each row is a patient. Shape (n,).

        Raises:
            DataError: A column is absent, or a value is not what the dictionary says.
        """
        self._require_columns(frame)
        if patient_ids is not None:
            # Sorted by patient too: sums over rows must not depend on the order of rows.
            _, first = np.unique(np.asarray(patient_ids).astype(str), return_index=True)
            self._witness(patient_ids)
            frame = frame.iloc[first]
        blocks: list[Block] = []
        done: set[str] = set()
        for column in self.columns:
            if column.kind == "expression":
                if column.group in done:
                    continue
                done.add(column.group)
            block = self._fit_block(column, frame)
            if block is not None and not self.indicators:
                block = dataclasses.replace(block, has_indicator=False)
            if block is not None and block.features:
                blocks.append(block)
        self._settle(tuple(blocks))
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Encodes each row.

        Args:
            frame: Raw typed columns, in any order; others are ignored.

        Returns:
            float32, shape (n, outputs), no `NaN`.

        Raises:
            DataError: A column is absent, or a value is not a number where it must be.
        """
        self._require_columns(frame)
        parts = [block.transform(frame) for block in self._blocks]
        return np.hstack([np.empty((len(frame), 0)), *parts]).astype(np.float32)

    def known_rows(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether a row has any value in a column that has an output; shape (n,), bool."""
        self._require_columns(frame)
        found = np.zeros(len(frame), dtype=bool)
        kept = [column for column in self.columns if column.name not in self.dropped_]
        expressed = [column for column in kept if column.kind == "expression"]
        if expressed:
            found |= ~np.isnan(matrix_of(expressed, frame)).all(axis=1)
        for column in kept:
            if column.kind != "expression":
                found |= known(column, frame[column.name])
        return found

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state: a JSON record, and arrays for everything large."""
        blocks: list[dict[str, Any]] = []
        arrays: Arrays = {}
        for i, block in enumerate(self._blocks):
            record, block_arrays = block.to_state()
            blocks.append({"kind": block.kind, "fitted": record})
            arrays |= {f"{i}.{name}": array for name, array in block_arrays.items()}
        record = {
            "columns": DataDictionary(self.columns).to_records(),
            "expression_components": self.expression_components,
            "indicators": self.indicators,
            "blocks": blocks,
        }
        return record, arrays

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuilds a fitted encoder from `to_state` output, also after a trip through JSON."""
        dictionary = DataDictionary.from_records(record["columns"])
        indicators = record.get("indicators", True)
        made = cls(list(dictionary), record["expression_components"], indicators)
        made._settle(
            tuple(
                BLOCKS[b["kind"]].from_state(b["fitted"], below(f"{i}.", arrays), dictionary)
                for i, b in enumerate(record["blocks"])
            )
        )
        return made

    def _witness(self, patient_ids: np.ndarray) -> None:
        witness("column encoding", "fitted on", patient_ids)
        if any(column.kind == "expression" for column in self.columns):
            witness("expression components", "fitted on", patient_ids)

    def _fit_block(
        self, column: Column, frame: pd.DataFrame
    ) -> ScaledColumn | OneHotColumn | ExpressionBlock | None:
        if column.kind == "expression":
            block = tuple(
                c for c in self.columns if c.kind == "expression" and c.group == column.group
            )
            return fit_expression(block, frame, self.expression_components)
        if column.kind == "nominal":
            return fit_one_hot(column, frame[column.name])
        return fit_scaled(column, frame[column.name])

    def _settle(self, blocks: tuple[Block, ...]) -> None:
        self._blocks = blocks
        self.features_ = tuple(f for block in blocks for f in block.features)
        used = {name for feature in self.features_ for name in feature.columns}
        self.dropped_ = tuple(c.name for c in self.columns if c.name not in used)

    def _require_columns(self, frame: pd.DataFrame) -> None:
        absent = [c.name for c in self.columns if c.name not in frame.columns]
        if absent:
            raise DataError(f"the patient columns {name_some(absent)} are absent from the table")
