"""Patient columns as they were measured: numbers, places of levels, text, and what is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.tables import Column


def known(column: Column, values: pd.Series) -> np.ndarray:
    """Whether each value is there; shape (n,)."""
    if column.kind == "nominal":
        return values.notna().to_numpy(dtype=bool)
    if column.kind == "ordinal":
        return np.array([t in column.levels for t in text_of(values)], dtype=bool)
    return ~np.isnan(numbers_of(column, values))


def values_of(
    column: Column, values: pd.Series, steps: tuple[float | None, ...], strict: bool
) -> np.ndarray:
    """Values as floats; `strict` refuses ordinal levels that the dictionary does not have."""
    if column.kind != "ordinal":
        return numbers_of(column, values)
    text = text_of(values)
    index = {
        level: np.nan if step is None else float(step)
        for level, step in zip(column.levels, steps, strict=True)
    }
    strange = sorted({t for t in text if t is not None and t not in index})
    if strange and strict:
        raise DataError(
            f"column {column.name!r} holds the level {strange[0]!r}, but its levels are "
            f"{', '.join(column.levels)}"
        )
    return np.array([index.get(t, np.nan) for t in text], dtype=float)


def numbers_of(column: Column, values: pd.Series) -> np.ndarray:
    """Values of a numeric, binary or expression column as floats, NaN where missing; shape (n,).

    Raises:
        DataError: A value is no finite number, or not 0 or 1 where the column is binary.
    """
    if values.dtype == np.float64:  # a prediction asks this of every column of every replicate
        numbers = values.to_numpy()
        absent = np.isnan(numbers)
    else:
        numeric = pd.api.types.is_numeric_dtype(values)
        parsed = values if numeric else pd.to_numeric(values.astype(object), errors="coerce")
        numbers = parsed.to_numpy(dtype=float, na_value=np.nan)
        absent = values.isna().to_numpy(dtype=bool)
    wrong = (~np.isfinite(numbers)) & ~absent
    if column.kind == "binary":
        wrong |= ~np.isin(numbers, (0.0, 1.0)) & ~absent
    if wrong.any():
        value = values.iloc[int(np.flatnonzero(wrong)[0])]
        value = value.item() if isinstance(value, np.generic) else value
        wanted = "0 or 1" if column.kind == "binary" else "a finite number"
        raise DataError(f"column {column.name!r} ({column.kind}) holds {value!r}, not {wanted}")
    return numbers


def matrix_of(columns: Sequence[Column], frame: pd.DataFrame) -> np.ndarray:
    """Values of several such columns, as `numbers_of` has each; (n, columns), the caller's own.

    Importance asks this of every column of every member again and again, so that columns that are
    floats already are taken at once.

    Raises:
        DataError: See `numbers_of`.
    """
    some = frame[[column.name for column in columns]]
    if not any(column.kind == "binary" for column in columns) and (some.dtypes == np.float64).all():
        matrix = np.array(some.to_numpy(), order="C")  # never the frame's own memory
        if not np.isinf(matrix).any():
            return matrix
    found = np.empty(some.shape)
    for i, column in enumerate(columns):
        found[:, i] = numbers_of(column, frame[column.name])
    return found


def text_of(values: pd.Series) -> np.ndarray:
    """Values as text, None where missing; shape (n,), object."""
    absent = values.isna().to_numpy(dtype=bool)
    if isinstance(values.dtype, pd.StringDtype):
        result = values.to_numpy(dtype=object, copy=True)
    else:
        result = np.empty(len(values), dtype=object)
        result[:] = [None if gone else str(v) for v, gone in zip(values, absent, strict=True)]
    result[absent] = None
    return result
