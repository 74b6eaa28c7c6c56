"""Comma-separated values that neither lose digits nor run formulas in a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.csv

from featurestore.export.fitting import Limits, fit
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable
from featurestore.tables import FORMULA_STARTS

DATE_LIKE = re.compile(
    r"(?:jan|feb|mar|march|apr|april|may|jun|jul|aug|sep|sept|oct|nov|dec)[- /]?\d{1,4}"
    r"|\d{1,2}[-/]\w{3,4}|\d+e\d+",
    re.IGNORECASE,
)
"""Names that spreadsheets turn into dates or powers of ten: SEPT9, MARCH1, DEC1, 2310009E13
(Ziemann, Eren and El-Osta, Genome Biology 2016)."""

GUARD = "'"
_MAX_BLOCK = 1 << 28
LIMITS = Limits("csv", exact_integers=True)


class CsvExporter:
    """UTF-8, comma, header row, empty cell for missing, 17 significant digits where needed.

    Coded texts are written as texts. A text that a spreadsheet would run as a formula or turn into
    a date gets an apostrophe in front (OWASP, CSV injection), and so does one that starts with an
    apostrophe, so that taking one off again gives the original; the import scripts do it.
    """

    name = "csv"
    suffix = ".csv"

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Guards texts; an empty text is missing, because CSV has no other way to say missing."""
        return guard_texts(*fit(table, LIMITS), self.name)

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes with Unix line ends, and quotes where they are needed.

        Minimal quoting leaves a carriage return bare, so a table that has one is quoted throughout.
        """
        frame = pd.DataFrame({c.name: c.values for c in table.columns})
        texts = [c.values for c in table.columns if c.kind == "text"]
        bare = any(values.str.contains("\r", regex=False, na=False).any() for values in texts)
        frame.to_csv(
            path,
            index=False,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL,
            date_format="%Y-%m-%d",
        )

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads with another parser (Arrow's); types are those of `like`, for a file has none."""
        types = {c.name: _arrow_type(c) for c in like.columns}
        found = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                block_size=min(path.stat().st_size + 1, _MAX_BLOCK), use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                check_utf8=True,
            ),
        )
        kinds = {c.name: c for c in like.columns}
        columns = tuple(
            Stored(
                name, kinds[name].kind if name in kinds else "text", _series(values, kinds, name)
            )
            for name, values in zip(found.column_names, found.columns, strict=True)
        )
        return StoredTable(like.name, "", columns, found.num_rows)


def _arrow_type(column: Stored) -> pyarrow.DataType:
    if column.kind == "number":
        whole = pd.api.types.is_integer_dtype(column.values.dtype)
        return pyarrow.int64() if whole else pyarrow.float64()
    return pyarrow.date32() if column.kind == "date" else pyarrow.string()


def _series(values: pyarrow.ChunkedArray, kinds: Mapping[str, Stored], name: str) -> pd.Series:
    if name in kinds and kinds[name].kind == "date":
        return pd.Series(pd.to_datetime(values.to_pandas())).astype("datetime64[s]")
    return values.to_pandas()


def guard_texts(
    table: StoredTable, changes: list[Change], form: str
) -> tuple[StoredTable, list[Change]]:
    """The table with guarded texts, and the changes with those that this makes.

    Args:
        table: As it was fitted.
        changes: What that changed.
        form: Name of the format.
    """
    columns, told = [], list(changes)
    for column in table.columns:
        if column.kind != "text":
            columns.append(column)
            continue
        values = column.values.map(guarded, na_action="ignore").astype("str")
        count = int((column.values.notna() & (values != column.values)).sum())
        if count:
            change = "an apostrophe keeps spreadsheets from changing the text"
            told.append(Change(form, table.name, column.name, change, count))
        columns.append(Stored(column.name, "text", values))
    return StoredTable(table.name, table.label, tuple(columns), table.rows), told


def guarded(text: str) -> str:
    """The text as a spreadsheet keeps it."""
    risky = text.startswith((*FORMULA_STARTS, GUARD)) or DATE_LIKE.fullmatch(text.strip())
    return GUARD + text if risky else text


def unguarded(text: str) -> str:
    """The text without its guard."""
    return text.removeprefix(GUARD)
