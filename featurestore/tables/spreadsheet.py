"""Text that spreadsheets and Markdown show as it is, wherever it came from."""

from __future__ import annotations

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts with one of these is run as a formula by spreadsheets."""


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV for people, whose text cells no spreadsheet runs (OWASP, CSV injection)."""
    texts = {
        name: table[name].map(_guarded, na_action="ignore")
        for name in table.columns
        if not pd.api.types.is_numeric_dtype(table[name].dtype)
    }
    return str(table.assign(**texts).to_csv(index=False, lineterminator="\n"))


def markdown_line(text: str) -> str:
    """One line without HTML or links of its own."""
    return " ".join(text.split()).replace("<", "&lt;").replace("](", "]\\(")


def _guarded(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(FORMULA_STARTS) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
