"""Excel workbooks of one sheet, for people who open the table and look."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.errors import ConfigError, StoreError
from featurestore.export.fitting import Limits, fit
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable

MAX_ROWS, MAX_COLUMNS = 1_048_575, 16_384
"""Of a sheet, below the header."""
DIGITS = 16
LIMITS = Limits(
    "xlsx", text=32_000, earliest="1900-03-01", largest=9.99999999999999e307, smallest=2.2251e-308
)
"""Excel's 29 February 1900 never was, so that earlier dates shift by a day."""
NEEDED = "format xlsx needs the extra `excel`: pip install 'melafuse[excel]'"
DAY = "yyyy-mm-dd"
CREATED = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""In every file, so that the same table gives the same bytes."""


class ExcelExporter:
    """One sheet with a header row, texts as texts (no cell is a formula), dates as dates.

    Coded texts are written as texts. Numbers have 16 significant digits; Excel shows 15 of them.
    """

    name = "xlsx"
    suffix = ".xlsx"

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Rounds numbers to the digits that libraries write; an empty text is missing."""
        stored, changes = fit(table, LIMITS)
        columns = []
        for column in stored.columns:
            values = _rounded(column)
            other = int((column.values.notna() & (values != column.values)).sum())
            if other:
                told = f"rounded to {DIGITS} significant digits"
                changes.append(Change(self.name, table.name, column.name, told, other))
            columns.append(Stored(column.name, column.kind, values))
        return StoredTable(table.name, "", tuple(columns), table.rows), changes

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes the sheet; the same table gives the same bytes.

        Raises:
            ConfigError: The extra `excel` is not installed.
            StoreError: The table has more rows or columns than a sheet.
        """
        try:
            import xlsxwriter
        except ImportError:
            raise ConfigError(NEEDED) from None
        if table.rows > MAX_ROWS or len(table.columns) > MAX_COLUMNS:
            raise StoreError(
                f"cannot write {path}: {table.rows:,} rows and {len(table.columns):,} columns; a "
                f"sheet has {MAX_ROWS:,} and {MAX_COLUMNS:,}; choose another format"
            )
        with xlsxwriter.Workbook(path) as book:
            book.set_properties({"created": CREATED})
            sheet = book.add_worksheet(table.name[:31])
            bold, day = (book.add_format(f) for f in ({"bold": True}, {"num_format": DAY}))
            sheet.freeze_panes(1, 0)
            for place, column in enumerate(table.columns):
                sheet.write_string(0, place, column.name, bold)
                _write(sheet, place, column, day)
            for row in _without_values(table):
                sheet.write_blank(row, 0, None, bold)  # else the sheet would end above it

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads with another library (openpyxl); a column's type is that of `like`."""
        try:
            import openpyxl
        except ImportError:
            raise ConfigError(NEEDED) from None
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True)
            rows = list(book.worksheets[0].iter_rows(values_only=True))
        names, body = (list(rows[0]), rows[1:]) if rows else ([], [])
        # A sheet ends with its last cell, wherever the table ended.
        body = body + [()] * (like.rows - len(body))
        kinds = {c.name: c.kind for c in like.columns}
        columns = tuple(
            _column(str(name), kinds.get(str(name), "text"), [_at(row, k) for row in body])
            for k, name in enumerate(names)
        )
        return StoredTable(like.name, "", columns, len(body))


def _at(row: tuple[Any, ...], place: int) -> Any:
    return row[place] if place < len(row) else None


def _rounded(column: Stored) -> pd.Series:
    if column.kind != "number":
        return column.values
    return column.values.map(lambda value: float(f"{value:.{DIGITS}g}")).astype("float64")


def _without_values(table: StoredTable) -> Iterator[int]:
    """Numbers of the sheet's rows in which nothing is known."""
    if table.columns:
        missing = np.logical_and.reduce([c.values.isna().to_numpy() for c in table.columns])
        yield from (int(row) + 1 for row in np.flatnonzero(missing))


def _write(sheet: Any, place: int, column: Stored, day: Any) -> None:
    for row, value in enumerate(column.values, start=1):
        if pd.isna(value):
            continue
        if column.kind == "text":
            sheet.write_string(row, place, value)
        elif column.kind == "date":
            sheet.write_datetime(row, place, value.to_pydatetime(), day)
        else:
            sheet.write_number(row, place, value)


def _column(name: str, kind: str, cells: list[Any]) -> Stored:
    if kind == "number":
        return Stored(name, "number", pd.Series(cells, dtype="float64"))
    if kind == "date":
        days = pd.Series(pd.to_datetime(pd.Series(cells, dtype=object)))
        return Stored(name, "date", days.astype("datetime64[s]"))
    from openpyxl.utils.escape import unescape

    texts = [None if cell is None else unescape(cell) for cell in cells]
    return Stored(name, "text", pd.Series(texts, dtype=object).astype("str"))
