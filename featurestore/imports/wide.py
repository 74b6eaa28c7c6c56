"""Wide tables: a row an image or slide, an id column and a column a number; CSV, TSV, Parquet.

Which columns are features is the user's word: outcomes stand beside features in many such tables,
and one taken for a feature would be a leak that no check could tell from a strong predictor. Only
columns that are numbered in one way (`f0`, `f1`, …) need not be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurestore.errors import DataError, name_some
from featurestore.imports.base import Bag, ReadOptions, UnreadableFeatures
from featurestore.tables import read_head, read_table

PARQUET = b"PAR1"
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "NULL")
_NUMBERED = re.compile(r"(\D*?)[_.-]?(\d+)")
_IDS = ("image_id", "slide_id", "id", "image", "slide", "filename", "case_id")
_MAX_VALUES = 500_000_000


class CsvReader:
    """Delimited text in any form that `featurestore.tables.read_table` reads."""

    name = "csv"

    def recognises(self, path: Path) -> bool:
        """Whether it is text with at least two columns."""
        try:
            return _begins(path) != PARQUET and len(read_head(path, n_rows=1).header) >= 2
        except DataError:
            return False

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields a bag a row; see `Reader`."""
        table = read_table(path)
        id_column = _id_column(list(table.columns), options, path)
        others = [n for n in table.columns if n not in (id_column, options.patient)]
        names = _features(others, options, path)
        columns = [_numbers(pa.array(table[name]), name, path) for name in names]
        matrix = np.column_stack(columns) if columns else np.empty((len(table), 0))
        patients = None
        if options.patient:
            _require_column(list(table.columns), options.patient, path)
            patients = [str(text) for text in table[options.patient]]
        ids = [str(text) for text in table[id_column]]
        yield from _rows(ids, patients, matrix, names, options)


class ParquetReader:
    """Parquet with a column a number, or one column that holds a list a row."""

    name = "parquet"

    def recognises(self, path: Path) -> bool:
        """Whether it is a Parquet file."""
        return _begins(path) == PARQUET

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields a bag a row; see `Reader`."""
        try:
            facts = pq.read_metadata(path)
            if facts.num_rows * facts.num_columns > _MAX_VALUES:
                raise DataError(f"{path}: {facts.num_rows:,} rows of {facts.num_columns:,} columns")
            table = pq.read_table(path, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:100]
            raise UnreadableFeatures(f"no readable Parquet file ({reason})") from None
        id_column = _id_column(table.column_names, options, path)
        others = [n for n in table.column_names if n not in (id_column, options.patient)]
        lists = [n for n in others if _is_list(table.schema.field(n).type)]
        if options.columns:
            lists = [n for n in lists if _matches(n, options.columns)]
        if len(lists) == 1:
            names, matrix = lists, _list_matrix(table[lists[0]], lists[0], path)
        else:
            names = _features(others, options, path)
            matrix = np.column_stack([_arrow_numbers(table[n], n, path) for n in names])
        ids = [_text(value) for value in table[id_column].to_pylist()]
        patients = None
        if options.patient:
            _require_column(table.column_names, options.patient, path)
            patients = [_text(value) for value in table[options.patient].to_pylist()]
        yield from _rows(ids, patients, matrix, names, options)


def _rows(
    ids: Sequence[str],
    patients: Sequence[str] | None,
    matrix: np.ndarray,
    names: Sequence[str],
    options: ReadOptions,
) -> Iterator[Bag]:
    left_out: tuple[str, ...] = ()
    if options.incomplete == "columns" and len(names) == matrix.shape[1]:
        whole = ~np.isnan(matrix).any(axis=0)
        left_out = tuple(n for n, kept in zip(names, whole, strict=True) if not kept)
        matrix = matrix[:, whole]
    if not matrix.shape[1]:
        raise UnreadableFeatures("no column of features is left")
    for k, name in enumerate(ids):
        patient = "" if patients is None else patients[k]
        row = partial(_one, matrix, k)
        yield Bag(name, matrix.shape[1], 1, row, patient=patient, left_out=left_out)


def _one(matrix: np.ndarray, row: int) -> Iterator[np.ndarray]:
    yield matrix[row : row + 1]


def _id_column(names: Sequence[str], options: ReadOptions, path: Path) -> str:
    if options.id:
        _require_column(names, options.id, path)
        return options.id
    known = {name.casefold(): name for name in names}
    found = next((known[name] for name in _IDS if name in known), None)
    if found is None:
        raise DataError(
            f"{path}: which column has the ids of images or slides? Name it as `id`; the file has "
            f"{name_some(names, 8)}"
        )
    return found


def _features(others: Sequence[str], options: ReadOptions, path: Path) -> list[str]:
    if options.columns:
        unused = [p for p in options.columns if not any(_matches(n, (p,)) for n in others)]
        if unused:
            raise DataError(
                f"{path}: no column is like {name_some([repr(p) for p in unused])}; the file has "
                f"{name_some(others, 8)}"
            )
        return [name for name in others if _matches(name, options.columns)]
    parsed = [_NUMBERED.fullmatch(name) for name in others]
    stems = {match[1].casefold() for match in parsed if match is not None}
    if others and None not in parsed and len(stems) == 1:
        return list(others)
    raise DataError(
        f"{path}: which columns are features? Name them by patterns as `columns`, for example "
        f'["feature_*"]: an outcome that stands beside them must not be taken for one; the file '
        f"has {name_some(others, 8)}"
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _numbers(texts: pa.Array, name: str, path: Path) -> np.ndarray:
    """Text to float64, each the double nearest to its decimals; missing is NaN."""
    known = pc.if_else(pc.is_in(texts, pa.array(_MISSING)), None, texts)
    try:
        return known.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        bad = [repr(t) for t in known.to_pylist() if t is not None and not _is_number(t)]
        raise DataError(
            f"{path}: column {name!r} is no feature: it holds {name_some(bad, 3)}"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _arrow_numbers(column: pa.ChunkedArray, name: str, path: Path) -> np.ndarray:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _numbers(column.combine_chunks().cast(pa.string()), name, path)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{path}: column {name!r} is no feature: it holds {kind}")
    values = column.to_numpy()
    return np.asarray(values, dtype=values.dtype if values.dtype.kind == "f" else np.float64)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _list_matrix(column: pa.ChunkedArray, name: str, path: Path) -> np.ndarray:
    lengths = set(pc.list_value_length(column).to_pylist())
    if len(lengths) != 1 or None in lengths:
        raise DataError(
            f"{path}: the lists of column {name!r} have {len(lengths)} different lengths"
        )
    kind = column.type.value_type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{path}: column {name!r} holds lists of {kind}, not of numbers")
    flat = np.concatenate([pc.list_flatten(chunk).to_numpy(False) for chunk in column.chunks])
    return flat.reshape(len(column), lengths.pop())


def _require_column(names: Sequence[str], name: str, path: Path) -> None:
    if name not in names:
        raise DataError(f"{path}: no column {name!r}; the file has {name_some(list(names), 8)}")


def _text(value: object) -> str:
    """An id as text; ids with gaps are stored as floats."""
    if value is None:
        return ""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError:
        return b""
