"""Comma-separated values that neither lose digits nor run formulas in a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

# A cell that starts with one of these is run as a formula by spreadsheets.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class CsvExporter:
    """UTF-8, comma, header row, empty cell for missing, 17 significant digits where needed.

    Text that a spreadsheet would run as a formula gets a leading apostrophe (OWASP, CSV
    injection); the codebook and all other formats keep the plain text.
    """

    name = "csv"
    suffix = ".csv"

    def normalise(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Guards text cells; an empty text becomes missing, which CSV cannot tell apart."""
        return frame.apply(lambda values: _guarded(values) if _is_text(values) else values)

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        """Writes with minimal quoting and Unix line ends."""
        frame.to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)

    def read(self, path: Path, like: pd.DataFrame) -> pd.DataFrame:
        """Reads every cell as text first, so that only the empty cell is missing."""
        text = pd.read_csv(
            path, dtype="str", keep_default_na=False, na_values=[""], encoding="utf-8"
        )
        if list(text.columns) != list(like.columns):
            return text
        return pd.DataFrame({c: _typed(text[c], like[c]) for c in like.columns})


def _is_text(values: pd.Series) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype)
    )


def _guarded(values: pd.Series) -> pd.Series:
    text = values.astype("str")
    text = text.mask(text == "")
    return text.mask(text.str.startswith(FORMULA_STARTS).fillna(False), "'" + text)


def _typed(text: pd.Series, like: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(like.dtype):
        return text == "True"
    if pd.api.types.is_integer_dtype(like.dtype):
        return text.astype("int64")
    if pd.api.types.is_numeric_dtype(like.dtype):
        return text.astype("float64").astype(like.dtype)
    return text
