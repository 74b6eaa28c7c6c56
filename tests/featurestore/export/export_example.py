"""What an independent library reads from an exported file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyreadstat
from sav_reader import read_sav
from xlsx_reader import read_xlsx
from xport_reader import read_xport

from featurestore.export.csv import unguarded
from featurestore.export.stored import Stored
from fusion.testing.export_tables import noted, tables

__all__ = ["READERS", "cells", "noted", "tables"]


def _read_csv(path: Path) -> pd.DataFrame:
    csv.field_size_limit(1_000_000)
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return pd.DataFrame([[unguarded(c) for c in row] for row in rows], columns=header, dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(path))
        return pd.DataFrame(found.fetchall(), columns=found.columns, dtype=object)


def _reader(read: Callable) -> Callable[[Path], pd.DataFrame]:
    def call(path: Path) -> pd.DataFrame:
        return read(str(path), disable_datetime_conversion=True)[0].astype(object)

    return call


def _own(read: Callable) -> Callable[[Path], pd.DataFrame]:
    """Columns of a reader of ours; bytes are texts, and of several missing values all are."""

    def call(path: Path) -> pd.DataFrame:
        columns = {}
        for column in read(path).columns:
            values = column.values
            if values.dtype == float:
                low, high = getattr(column, "missing", None) or (np.inf, -np.inf)
                values = np.where((values >= low) & (values <= high), np.nan, values)
                columns[column.name] = pd.Series(values, dtype=object)
            else:
                texts = [value.decode() or None for value in values]
                columns[column.name] = pd.Series(texts, dtype=object)
        return pd.DataFrame(columns)

    return call


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "csv": _read_csv,
    "redcap": _read_csv,
    "parquet": _read_parquet,
    "dta": _reader(pyreadstat.read_dta),
    "sav": _own(read_sav),
    "xpt": _own(read_xport),
    "xlsx": read_xlsx,
}
"""Readers that share no code with those that check a file when it is written, nor, but for dta,
with those that write it."""

_EPOCHS = {
    "dta": ("1960-01-01", "D"),
    "xpt": ("1960-01-01", "D"),
    "sav": ("1582-10-14", "s"),
    "xlsx": ("1899-12-30", "D"),
}


def cells(values: pd.Series, column: Stored, form: str) -> list[object]:
    """What a reader found, as plain numbers, texts and ISO dates; None where missing."""
    return [_cell(value, column, form) for value in values]


def _cell(value: object, column: Stored, form: str) -> object:
    if value is None or value != value or value == "":
        return "" if value == "" and form == "parquet" else None
    if column.kind == "number":
        return int(value) if str(column.values.dtype) == "int64" else float(value)
    if column.kind == "date":
        if form in _EPOCHS:
            start, unit = _EPOCHS[form]
            moment = pd.Timestamp(start).to_numpy().astype("datetime64[s]")
            return str((moment + np.timedelta64(int(value), unit)).astype("datetime64[D]"))
        return str(value)
    return str(value)
