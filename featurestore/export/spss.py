"""SPSS system files (.sav): labels, value labels, measurement levels, user-missing values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat

from featurestore.export.fitting import Limits, fit
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable
from featurestore.tables import REASONS

# Command Syntax Reference (IBM): variable labels 255 bytes, value labels 120, file labels 64. The
# largest double but for its sign is the system-missing value.
LIMITS = Limits(
    "sav",
    table_label=64,
    label=255,
    value_label=120,
    text=32_767,
    bytes=True,
    largest=1.797e308,
    reasons=True,
    trailing_blanks=False,
    earliest="1582-10-15",
)
_EPOCH = pd.Timestamp("1582-10-14")
_SECOND = pd.Timedelta(seconds=1)
_DATE_FORMATS = ("DATE", "ADATE", "EDATE", "SDATE", "JDATE")
_N = len(REASONS)


class SpssExporter:
    """Written and read back by ReadStat (pyreadstat), whose reader is other code than its writer.

    The reason with code k is stored as the user-missing value `top - k`, where `top` is the highest
    of -90, -990, -9990 … with all known values above it, so that no measurement is a code.
    """

    name = "sav"
    suffix = ".sav"

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Texts become codes with value labels where they are coded."""
        stored, changes = fit(table, LIMITS)
        columns = []
        for column in stored.columns:
            if column.reasons.any() and _top(_numbers(column)) is None:
                change = "no code is free for the reasons of missing values below such numbers"
                cells = int((column.reasons > 0).sum())
                changes.append(Change(self.name, table.name, column.name, change, cells))
                none = np.zeros_like(column.reasons)
                column = dataclasses.replace(column, reasons=none, reason_labels={})
            columns.append(column)
        return dataclasses.replace(stored, columns=tuple(columns)), changes

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes the table."""
        tops = {c.name: _top(_numbers(c)) or 0.0 for c in table.columns if c.reasons.any()}
        pyreadstat.write_sav(
            pd.DataFrame({c.name: _physical(c, tops.get(c.name, 0.0)) for c in table.columns}),
            str(path),
            file_label=table.label,
            column_labels={c.name: c.label for c in table.columns if c.label},
            variable_value_labels={
                c.name: _labels(c, tops.get(c.name, 0.0))
                for c in table.columns
                if c.value_labels or c.reasons.any()
            },
            missing_ranges={name: [{"lo": t - _N, "hi": t - 1}] for name, t in tops.items()},
            variable_measure={c.name: c.measure for c in table.columns if c.measure},
            variable_format={c.name: "DATE11" for c in table.columns if c.kind == "date"},
        )

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads the table."""
        frame, found = pyreadstat.read_sav(
            str(path), user_missing=True, disable_datetime_conversion=True
        )
        columns = tuple(_stored(name, frame[name], found) for name in found.column_names)
        return StoredTable(like.name, found.file_label or "", columns, len(frame))


def _top(numbers: pd.Series) -> float | None:
    """Highest free place for codes below all known values; None where they are all too low."""
    lowest = float(numbers.min()) if numbers.notna().any() else 0.0
    return next((10.0 - 10.0**k for k in range(2, 15) if 10.0 - 10.0**k < lowest), None)


def _numbers(column: Stored) -> pd.Series:
    if column.kind == "date":
        return (column.values - _EPOCH) / _SECOND
    return column.values.astype("float64")


def _physical(column: Stored, top: float) -> pd.Series:
    if column.kind == "text":
        return column.texts()
    numbers = _numbers(column)
    if not column.reasons.any():
        return numbers
    codes = pd.Series(top - column.reasons.astype(float), index=numbers.index)
    return numbers.mask(column.reasons > 0, codes)


def _labels(column: Stored, top: float) -> dict[int | float, str]:
    labels: dict[int | float, str] = {float(k): text for k, text in column.value_labels.items()}
    return labels | {top - code: text for code, text in column.reason_labels.items()}


def _stored(name: str, read: pd.Series, found: Any) -> Stored:
    """A column as pyreadstat finds it; `found` is its `metadata_container`."""
    label = found.column_names_to_labels[name] or ""
    if found.readstat_variable_types[name] == "string":
        return Stored.of_texts(name, read, label)
    numbers = read.astype("float64")
    values = numbers.to_numpy()
    reasons = np.zeros(len(values), dtype=np.int8)
    labels = found.variable_value_labels.get(name, {})
    reason_labels: dict[int, str] = {}
    for part in found.missing_ranges.get(name, []):
        low, high = part["lo"], part["hi"]
        coded = (values >= low) & (values <= high)
        reasons[coded] = np.rint(high + 1 - values[coded]).astype(np.int8)
        numbers = numbers.mask(coded)
        reason_labels |= {int(high + 1 - v): t for v, t in labels.items() if low <= v <= high}
        labels = {v: t for v, t in labels.items() if not low <= v <= high}
    kind: str = "number"
    typed: pd.Series = numbers
    if (found.original_variable_types[name] or "").rstrip("0123456789.") in _DATE_FORMATS:
        kind, typed = "date", (_EPOCH + pd.to_timedelta(numbers, unit="s")).astype("datetime64[s]")
    return Stored(
        name,
        kind,  # type: ignore[arg-type]
        typed,
        label,
        {int(v): t for v, t in labels.items()},
        reasons,
        reason_labels,
    )
