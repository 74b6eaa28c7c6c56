"""From a study's table to labelled variables: names, types, codes, dates, and no infinities."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.export.base import ColumnNote, ExportTable
from featurestore.export.names import export_name
from featurestore.export.variables import (
    EVERY_FORMAT,
    Change,
    Kind,
    LabelledTable,
    Measure,
    Variable,
)
from featurestore.tables import Column

YES_NO = {0: "no", 1: "yes"}
EXACT_INTEGERS = 2**53
"""Whole numbers up to here are exact as doubles, which is what Stata, SPSS and SAS hold."""

LONG_AS_TEXT = "whole numbers too long for a double are texts"
LOST_DIGITS = "a whole number beyond 2^53 came as a double and may have lost its last digits"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MEASURES: dict[str, Measure] = {
    "ordinal": "ordinal",
    "nominal": "nominal",
    "binary": "nominal",
    "numeric": "scale",
    "expression": "scale",
}


def labelled(table: ExportTable) -> tuple[LabelledTable, list[Change]]:
    """Gives every column its exported name, type, labels and codes.

    Raises:
        DataError: A column is described nowhere, a coded column holds a text that is no level, or
            the key does not name every row.
    """
    frame = table.frame.reset_index(drop=True)
    undescribed = [c for c in frame.columns if c not in table.columns and c not in table.notes]
    if undescribed:
        raise DataError(
            f"export table {table.name!r}: no codebook entry for {name_some(undescribed)}"
        )
    if table.key and frame.duplicated(list(table.key)).any():
        raise DataError(f"export table {table.name!r}: rows share a key ({', '.join(table.key)})")
    names = table.exported_names()
    variables, changes = [], []
    for column in frame.columns:
        variable, told = _variable(table, frame[column], str(column), names[str(column)])
        variables.append(variable)
        for change, cells in told.items():
            if cells:
                changes.append(Change(EVERY_FORMAT, table.name, variable.name, change, cells))
    made = LabelledTable(
        export_name(table.name),
        table.label,
        tuple(variables),
        tuple(names[k] for k in table.key),
        tuple(names[k] for k in table.repeated),
    )
    return made, changes


def _variable(
    table: ExportTable, values: pd.Series, original: str, name: str
) -> tuple[Variable, dict[str, int]]:
    """The variable, and what was changed in how many cells."""
    entry = table.columns.get(original)
    note = _note_of(entry) if entry else table.notes[original]
    kind, typed, infinite = _typed(values)
    told = {
        "an infinite value is missing": infinite,
        LONG_AS_TEXT: len(values) if kind == "text" and _whole(values) else 0,
        LOST_DIGITS: _rounded(values),
    }
    meanings = dict(note.values)
    if pd.api.types.is_bool_dtype(values.dtype) and not meanings:
        meanings = YES_NO
    levels = note.levels
    if entry is not None and entry.kind in ("ordinal", "nominal"):
        kind, typed = "text", _as_text(values)
        levels = entry.levels or tuple(sorted(typed.dropna().unique()))
    if levels:
        _require_levels(typed, levels, f"export table {table.name!r}: column {original!r}")
    reasons = np.asarray(table.reasons.get(original, np.zeros(len(typed))), dtype=np.int8)
    variable = Variable(
        name=name,
        original=original,
        kind=kind,
        values=typed,
        label=note.label or original,
        measure=_measure(entry, kind, levels, meanings),
        levels=levels,
        meanings=meanings,
        reasons=np.where(typed.isna(), reasons, 0).astype(np.int8),
        unit=note.unit,
        group=note.group,
        source=entry.source_column if entry else "",
        note=note.note,
        type=entry.kind if entry else _type_word(kind, typed, levels, meanings),
    )
    return variable, told


def _note_of(entry: Column) -> ColumnNote:
    said = "reveals the outcome or is known too late; not given to models" if entry.leaks else ""
    return ColumnNote(
        entry.label or entry.name,
        entry.unit,
        said,
        YES_NO if entry.kind == "binary" else {},
        group=entry.group,
    )


def _measure(
    entry: Column | None, kind: Kind, levels: tuple[str, ...], meanings: dict[int, str]
) -> Measure:
    if entry is not None:
        return _MEASURES[entry.kind]
    return "nominal" if kind == "text" or levels or meanings else "scale"


def _type_word(
    kind: Kind, values: pd.Series, levels: tuple[str, ...], meanings: dict[int, str]
) -> str:
    if levels:
        return "nominal"
    if meanings:
        return "binary" if set(meanings) == {0, 1} else "nominal"
    if kind == "number":
        return "integer" if pd.api.types.is_integer_dtype(values.dtype) else "numeric"
    return kind


def _typed(values: pd.Series) -> tuple[Kind, pd.Series, int]:
    """Kind and values of a column, and how many of them were infinite and now are missing."""
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_integer_dtype(values.dtype):
        return _whole_numbers(values)
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.astype("float64").fillna(np.nan)
        infinite = np.isinf(numbers)
        return "number", numbers.mask(infinite), int(infinite.sum())
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return "text", _as_text(values.map(lambda t: t.isoformat(), na_action="ignore")), 0
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        days = values.astype("datetime64[s]")
        if (days.dropna() == days.dropna().dt.normalize()).all():
            return "date", days, 0
        return "text", _as_text(days.map(lambda t: t.isoformat(), na_action="ignore")), 0
    text = _as_text(values)
    found = _dates(text)
    return ("text", text, 0) if found is None else ("date", found, 0)


def _whole_numbers(values: pd.Series) -> tuple[Kind, pd.Series, int]:
    known = values.dropna()
    if len(known) == len(values) and (known.empty or int(known.max()) < 2**63):
        return "number", values.astype("int64"), 0
    if known.empty or max(abs(int(known.max())), abs(int(known.min()))) <= EXACT_INTEGERS:
        return "number", values.astype("float64"), 0
    return "text", values.astype("str"), 0  # neither int64 with gaps nor float64 holds them


def _whole(values: pd.Series) -> bool:
    return bool(pd.api.types.is_integer_dtype(values.dtype))


def _rounded(values: pd.Series) -> int:
    """Whole numbers of a double column that are too long to be exact, in columns of such."""
    if not pd.api.types.is_float_dtype(values.dtype):
        return 0
    known = values.dropna().to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    if not len(known) or (known != np.floor(known)).any():
        return 0
    return int((np.abs(known) >= EXACT_INTEGERS).sum())


def _as_text(values: pd.Series) -> pd.Series:
    return values.where(values.notna(), None).astype("str")


def _dates(text: pd.Series) -> pd.Series | None:
    """Dates of a text column in which every known value is one in ISO 8601, else None."""
    known = text.dropna()
    if known.empty or not known.str.fullmatch(_DATE).all():
        return None
    try:
        days = pd.to_datetime(text, format="%Y-%m-%d", errors="raise")
    except (ValueError, OverflowError):
        return None
    return days.astype("datetime64[s]")


def _require_levels(values: pd.Series, levels: tuple[str, ...], where: str) -> None:
    other = sorted(set(values.dropna()) - set(levels))
    if other:
        raise DataError(f"{where} holds {name_some(other)}, which is none of its levels")
