"""How columns of each kind become numbers. Each block is fitted by `fit_*` and then only data.

Every block drops outputs that are constant in training: nothing can be learned from them, and a
value that moves only at prediction would meet a weight that was never fitted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.tables import Column, DataDictionary, places
from fusion.features.arrays import Arrays, below
from fusion.features.measured import matrix_of, text_of, values_of
from fusion.features.reduction import PrincipalComponents, Standardizer

SCALED_LOW, SCALED_HIGH = -0.5, 1.5
"""Where scaled values are clipped. A prediction may lie up to half a training range outside what
training saw; farther out (a thickness in µm for one in mm) it no longer gains influence."""

LINEAR_EXPRESSION_UNITS = frozenset(
    {"count", "counts", "raw counts", "cpm", "tpm", "fpkm", "fpkm-uq", "rpkm", "rsem"}
)
"""Units of expression that are not yet logarithmic: log2(x + 1) is taken of them."""


@dataclasses.dataclass(frozen=True)
class OutputFeature:
    """One column of the encoded matrix.

    Attributes:
        name: Name, for example `breslow`, `breslow_missing`, `site=trunk`, `expression_pc01`.
        columns: Patient columns it is computed from.
        group: Their group in the data dictionary.
        step: How far the output moves with one unit of the column: the unit of the dictionary, the
            next level, yes instead of no, missing instead of known. `NaN` where it is not linear
            in one column.
    """

    name: str
    columns: tuple[str, ...]
    group: str
    step: float = np.nan


class Block(Protocol):
    """Fitted encoding of one column, or of all expression columns of a group."""

    kind: ClassVar[str]

    @property
    def features(self) -> tuple[OutputFeature, ...]:
        """The outputs, in order."""
        ...

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Encodes each row; shape (n, outputs), no `NaN`."""
        ...

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state as a JSON record, which names columns, and arrays."""
        ...


@dataclasses.dataclass(frozen=True)
class ScaledColumn:
    """A numeric, binary or ordinal column: median imputation, MinMax scaling, indicator.

    An ordinal column is the place of its level (`featurestore.tables.places`; a level without one
    counts as missing); both it and a binary column keep their full scale, seen in training or not.

    Attributes:
        column: The patient column.
        low: Value that becomes 0.
        high: Value that becomes 1.
        fill: Training median, in scaled units, for missing values.
        has_value: Whether the value varies in training.
        has_indicator: Whether missingness varies in training.
        places: Place of each level of an ordinal column, None without one; else empty.
    """

    kind: ClassVar[str] = "scaled"
    column: Column
    low: float
    high: float
    fill: float
    has_value: bool
    has_indicator: bool
    places: tuple[float | None, ...] = ()

    @property
    def features(self) -> tuple[OutputFeature, ...]:
        """The scaled value, then the indicator; each only where it varies in training."""
        return _features_of(
            self.column,
            {self.column.name: 1 / (self.high - self.low)} if self.has_value else {},
            self.has_indicator,
        )

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Encodes each row; shape (n, outputs)."""
        values = values_of(self.column, frame[self.column.name], self.places, strict=False)
        missing = np.isnan(values)
        outputs = []
        if self.has_value:
            scaled = np.clip(_scaled(values, self.low, self.high), SCALED_LOW, SCALED_HIGH)
            outputs.append(np.where(missing, self.fill, scaled))
        if self.has_indicator:
            outputs.append(missing.astype(float))
        return np.column_stack(outputs)

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state."""
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return record | {"column": self.column.name}, {}

    @classmethod
    def from_state(
        cls, record: Mapping[str, Any], arrays: Arrays, dictionary: DataDictionary
    ) -> Self:
        """Rebuilds the block from `to_state` output; levels of older ones lay one step apart."""
        column = dictionary[record["column"]]
        steps = range(len(column.levels)) if column.kind == "ordinal" else ()
        fitted = {**record, "column": column, "places": tuple(record.get("places", steps))}
        return cls(**fitted)


def fit_scaled(column: Column, values: pd.Series) -> ScaledColumn | None:
    """Fits a numeric, binary or ordinal column; None if neither value nor missingness varies."""
    placed = places(column.levels) if column.kind == "ordinal" else {}
    steps = tuple(placed.get(level) for level in column.levels) if placed else ()
    measured = values_of(column, values, steps, strict=True)
    missing = np.isnan(measured)
    known = measured[~missing]
    if len(known) == 0:
        return None
    low, high = float(known.min()), float(known.max())
    varies = low < high
    if column.kind == "binary":
        low, high = 0.0, 1.0
    elif column.kind == "ordinal":
        low, high = 0.0, max(placed.values())
    if not varies and not missing.any():
        return None
    fill = float(np.median(_scaled(known, low, high))) if varies else 0.0
    return ScaledColumn(column, low, high, fill, varies, bool(missing.any()), steps)


@dataclasses.dataclass(frozen=True)
class OneHotColumn:
    """A nominal column: one output a training level; unknown and missing are all zeros.

    Attributes:
        column: The patient column.
        levels: Levels seen in training.
        has_indicator: Whether a value was missing in training; the indicator also marks levels
            that training did not have.
    """

    kind: ClassVar[str] = "one_hot"
    column: Column
    levels: tuple[str, ...]
    has_indicator: bool

    @property
    def features(self) -> tuple[OutputFeature, ...]:
        """One output a level, then the indicator."""
        steps = {f"{self.column.name}={level}": 1.0 for level in self.levels}
        return _features_of(self.column, steps, self.has_indicator)

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Encodes each row; shape (n, outputs)."""
        text = text_of(frame[self.column.name])
        hot = text[:, None] == np.array(self.levels, dtype=object)[None, :]
        outputs = hot.astype(float)
        if self.has_indicator:
            outputs = np.column_stack([outputs, ~hot.any(axis=1)])
        return outputs

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state."""
        record = {
            "column": self.column.name,
            "levels": list(self.levels),
            "has_indicator": self.has_indicator,
        }
        return record, {}

    @classmethod
    def from_state(
        cls, record: Mapping[str, Any], arrays: Arrays, dictionary: DataDictionary
    ) -> Self:
        """Rebuilds the block from `to_state` output."""
        column = dictionary[record["column"]]
        return cls(column, tuple(record["levels"]), record["has_indicator"])


def fit_one_hot(column: Column, values: pd.Series) -> OneHotColumn | None:
    """Fits a nominal column; None if neither level nor missingness varies."""
    text = text_of(values)
    missing = np.array([t is None for t in text], dtype=bool)
    seen = set(text[~missing])
    levels = [level for level in column.levels if level in seen]
    levels += sorted(seen - set(levels))
    if not levels or (len(levels) == 1 and not missing.any()):
        return None
    return OneHotColumn(column, tuple(levels), bool(missing.any()))


@dataclasses.dataclass(frozen=True)
class ExpressionBlock:
    """All expression columns of a group: standardised, then principal components.

    A gene missing in a patient takes its training mean. A patient without any gene gets zeros and,
    where training had such patients, the indicator.

    Attributes:
        columns: The expression columns that vary in training.
        standardizer: Mean and scale of each column.
        components: Principal components of the standardised columns; None keeps the columns.
        has_indicator: Whether training had patients without any gene.
    """

    kind: ClassVar[str] = "expression"
    columns: tuple[Column, ...]
    standardizer: Standardizer
    components: PrincipalComponents | None
    has_indicator: bool

    @property
    def features(self) -> tuple[OutputFeature, ...]:
        """The components (or columns), then the indicator."""
        every = tuple(c.name for c in self.columns)
        group = self.columns[0].group
        if self.components is None:
            outputs = [OutputFeature(name, (name,), group) for name in every]
        else:
            k = len(self.components.components_)
            digits = max(2, len(str(k)))
            names = [f"{group}_pc{i + 1:0{digits}d}" for i in range(k)]
            outputs = [OutputFeature(name, every, group) for name in names]
        if self.has_indicator:
            outputs.append(OutputFeature(f"{group}_missing", every, group))
        return tuple(outputs)

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Encodes each row; shape (n, outputs).

        Components are divided by the spread of the first: the block has the size of a scaled
        column, and the components keep their order of importance.
        """
        standardised = self.standardizer.transform(expression_matrix(self.columns, frame))
        missing = np.isnan(standardised).all(axis=1)
        outputs = standardised
        if self.components is not None:
            outputs = self.components.transform(standardised)
            outputs = outputs / np.sqrt(self.components.variance_[:1])
        outputs = np.where(np.isnan(outputs), 0.0, outputs)
        if self.has_indicator:
            outputs = np.column_stack([outputs, missing])
        return outputs

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state."""
        record = {
            "columns": [c.name for c in self.columns],
            "reduced": self.components is not None,
            "has_indicator": self.has_indicator,
        }
        arrays = {f"standardizer.{k}": v for k, v in self.standardizer.to_arrays().items()}
        if self.components is not None:
            arrays |= {f"components.{k}": v for k, v in self.components.to_arrays().items()}
        return record, arrays

    @classmethod
    def from_state(
        cls, record: Mapping[str, Any], arrays: Arrays, dictionary: DataDictionary
    ) -> Self:
        """Rebuilds the block from `to_state` output."""
        components = None
        if record["reduced"]:
            components = PrincipalComponents.from_arrays(below("components.", arrays))
        return cls(
            columns=tuple(dictionary[name] for name in record["columns"]),
            standardizer=Standardizer.from_arrays(below("standardizer.", arrays)),
            components=components,
            has_indicator=record["has_indicator"],
        )


def fit_expression(
    columns: tuple[Column, ...], frame: pd.DataFrame, n_components: int
) -> ExpressionBlock | None:
    """Fits the expression columns of one group; None if none of them varies."""
    matrix = expression_matrix(columns, frame)
    varies = np.isfinite(Standardizer().fit(matrix).scale_)
    if not varies.any():
        return None
    kept = tuple(c for c, v in zip(columns, varies, strict=True) if v)
    matrix = matrix[:, varies]
    standardizer = Standardizer().fit(matrix)
    components = None
    if n_components > 0:
        components = PrincipalComponents(n_components).fit(standardizer.transform(matrix))
    absent = bool(np.isnan(matrix).all(axis=1).any())
    return ExpressionBlock(kept, standardizer, components, absent)


BLOCKS: dict[str, type[ScaledColumn] | type[OneHotColumn] | type[ExpressionBlock]] = {
    block.kind: block for block in (ScaledColumn, OneHotColumn, ExpressionBlock)
}


def expression_matrix(columns: tuple[Column, ...], frame: pd.DataFrame) -> np.ndarray:
    """Expression values on a logarithmic scale, `NaN` where missing; shape (n, columns).

    Raises:
        DataError: A value is not a number, or a count below zero.
    """
    matrix = matrix_of(columns, frame)
    for i, column in enumerate(columns):
        if column.unit.strip().casefold() in LINEAR_EXPRESSION_UNITS:
            values = matrix[:, i].copy()  # side by side: other strides may round differently
            if (values < 0).any():
                raise DataError(
                    f"column {column.name!r}: {np.nanmin(values):g} is below zero, which an "
                    f"expression in {column.unit} cannot be; if it is logarithmic, say so in `unit`"
                )
            matrix[:, i] = np.log2(values + 1.0)
    return matrix


def _features_of(
    column: Column, steps: Mapping[str, float], has_indicator: bool
) -> tuple[OutputFeature, ...]:
    """Outputs with their steps (see `OutputFeature`), then the indicator."""
    if has_indicator:
        steps = {**steps, f"{column.name}_missing": 1.0}
    return tuple(
        OutputFeature(name, (column.name,), column.group, step) for name, step in steps.items()
    )


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    # Halved first: the range of two very large values must not overflow.
    with np.errstate(over="ignore"):
        return (values / 2 - low / 2) / (high / 2 - low / 2)
