"""Tables that no format likes, and what an independent library reads from a file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyreadstat
from hypothesis import strategies as st
from sav_reader import read_sav
from xlsx_reader import read_xlsx
from xport_reader import read_xport

from featurestore.export import ColumnNote, ExportTable
from featurestore.export.csv import unguarded
from featurestore.export.stored import Stored
from featurestore.tables.dictionary import Column
from featurestore.tables.gaps import REASONS

LEVELS = ("I", "II é", "=III", "ünknown " * 20)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("if", "IF", "double", "_n", "ALL", "with", "str12", "repeat", "TRUE", "_N", "by"),
            *("a", "A", "á", "Á", "x.1", "x 1", "x_1", "1x", "-", "mut_BRAF", "expr_SEPT9", "🦠"),
            *("n" * 64, "N" * 64, "n" * 63 + "m", "gene_" * 13, "Größe (mm)", "x" * 200),
        ]
    ),
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=70),
)
TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "x ", "=1+1", "-2", "'=1", "SEPT9", "MARCH1", "1-Mar", "NA", "ä\n,\"'"]
    ),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=12),
    st.just("é" * 1500),
    st.just("q" * 40_000),
)
NUMBERS = st.one_of(
    st.none(),
    st.floats(),
    st.sampled_from([5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2.0**53 + 2, 1e-80, 7.3e75, -91.0]),
)
WHOLE = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2_147_483_621, 2_147_483_647, 2**53, 2**53 + 1, -99]),
)
DATES = st.one_of(
    st.none(), st.dates(min_value=pd.Timestamp("1001-01-01").date()).map(lambda d: d.isoformat())
)
CODES = st.one_of(st.none(), st.sampled_from([0.0, 1.0]))
REASON_CODES = st.integers(0, len(REASONS))

_KINDS: dict[str, tuple[st.SearchStrategy, str]] = {
    "text": (TEXTS, "str"),
    "number": (NUMBERS, "float64"),
    "whole": (WHOLE, "int64"),
    "flag": (st.booleans(), "bool"),
    "date": (DATES, "str"),
    "level": (st.one_of(st.none(), st.sampled_from(LEVELS)), "str"),
    "binary": (CODES, "float64"),
    "no text": (st.none(), "str"),
    "no number": (st.none(), "float64"),
}


@st.composite
def tables(draw: st.DrawFn) -> ExportTable:
    """A table with any names and values."""
    n = draw(st.integers(0, 6))
    names = draw(st.lists(NAMES, min_size=1, max_size=7, unique=True))
    frame, columns, notes, reasons = {}, {}, {}, {}
    for name in names:
        kind = draw(st.sampled_from(sorted(_KINDS)))
        values, dtype = _KINDS[kind]
        frame[name] = pd.Series(draw(st.lists(values, min_size=n, max_size=n)), dtype=dtype)
        reasons[name] = np.array(draw(st.lists(REASON_CODES, min_size=n, max_size=n)), dtype=int)
        label = draw(st.sampled_from([name, "Größe 🦠 " * 40, "x"]))
        if kind == "level":
            columns[name] = Column(name, "ordinal", "g", label, levels=LEVELS)
        elif kind == "binary":
            columns[name] = Column(name, "binary", "g", label, unit="mm")
        else:
            notes[name] = ColumnNote(label, note="a note")
    made = pd.DataFrame(frame)
    return ExportTable("t", made, columns, notes, "Größe " * 20, reasons=reasons)


def noted(frame: pd.DataFrame, name: str = "t") -> ExportTable:
    """A table whose labels are its names."""
    return ExportTable(name, frame, notes={str(c): ColumnNote(str(c)) for c in frame.columns})


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
