"""Stata 14 and newer (.dta, format 118): labels, value labels, and .a to .z for missing values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
from pandas.io.stata import StataMissingValue, StataReader  # type: ignore[attr-defined]

from featurestore.export.fitting import Limits, fit
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable

# help data types, help limits, help label (StataCorp). All numbers are doubles: an integer type
# would turn the largest of its values into missing ones.
LIMITS = Limits(
    "dta",
    table_label=80,
    label=80,
    value_label=32_000,
    text=2044,  # ReadStat fails on one of 2,045 beside a missing one
    largest=8.988e307,
    reasons=True,
)
_EPOCH = pd.Timestamp("1960-01-01")
_DAY = pd.Timedelta(days=1)
_FORMAT_118 = 14


class StataExporter:
    """Written by ReadStat (pyreadstat), read back by pandas' own reader."""

    name = "dta"
    suffix = ".dta"

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Texts become codes with value labels where they are coded; numbers become doubles."""
        return fit(table, LIMITS)

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes the table."""
        coded = [c for c in table.columns if c.reasons.any()]
        pyreadstat.write_dta(
            pd.DataFrame({c.name: _physical(c) for c in table.columns}),
            str(path),
            file_label=table.label,
            column_labels={c.name: c.label for c in table.columns if c.label},
            version=_FORMAT_118,
            variable_value_labels={
                c.name: _labels(c) for c in table.columns if c.value_labels or c.reasons.any()
            },
            missing_user_values={c.name: [letter(k) for k in c.reason_labels] for c in coded},
            variable_format={c.name: "%td" for c in table.columns if c.kind == "date"},
        )

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads the table."""
        with StataReader(
            path,
            convert_dates=False,
            convert_categoricals=False,
            convert_missing=True,
            preserve_dtypes=True,
        ) as reader:
            frame = reader.read()  # type: ignore[attr-defined]
            labels, sets = reader.variable_labels(), reader.value_labels()
            formats = dict(zip(frame.columns, reader._fmtlist, strict=True))  # type: ignore[attr-defined]
            used = dict(zip(frame.columns, reader._lbllist, strict=True))  # type: ignore[attr-defined]
            title = reader.data_label
        columns = tuple(
            _stored(name, frame[name], labels[name], sets.get(used[name], {}), formats[name])
            for name in map(str, frame.columns)
        )
        return StoredTable(like.name, title, columns, len(frame))


def letter(reason: int) -> str:
    """Stata's extended missing value, without the point: `a` for reason 1."""
    return chr(ord("a") + reason - 1)


def _physical(column: Stored) -> pd.Series:
    if column.kind == "text":
        return column.texts()
    values = column.values
    if column.kind == "date":
        values = (values - _EPOCH) / _DAY
    if not column.reasons.any():
        return values.astype("float64")
    mixed = values.astype(object)
    for reason in column.reason_labels:
        mixed = mixed.mask(pd.Series(column.reasons == reason, index=mixed.index), letter(reason))
    return mixed


def _labels(column: Stored) -> dict[Any, str]:
    reasons = {letter(code): text for code, text in column.reason_labels.items()}
    return {**column.value_labels, **reasons}


def _stored(
    name: str, values: pd.Series, label: str, labels: Mapping[float, str], form: str
) -> Stored:
    if form.endswith("s"):
        return Stored.of_texts(name, values, label)
    missing = values.map(lambda v: isinstance(v, StataMissingValue)).astype(bool)
    letters = values[missing].map(lambda v: v.string.removeprefix("."))
    reasons = np.zeros(len(values), dtype=np.int8)
    reasons[missing.to_numpy()] = [ord(t) - ord("a") + 1 if t else 0 for t in letters]
    numbers = values.mask(missing).astype("float64")
    named = {
        StataMissingValue(int(code)).string[1:]: t for code, t in labels.items() if code > _TOP
    }
    kind = "number"
    typed: pd.Series = numbers
    if form.startswith("%td"):
        kind = "date"
        typed = (_EPOCH + pd.to_timedelta(numbers, unit="D")).astype("datetime64[s]")
    return Stored(
        name,
        kind,  # type: ignore[arg-type]
        typed,
        label,
        {int(code): text for code, text in labels.items() if code <= _TOP},
        reasons,
        {ord(t) - ord("a") + 1: text for t, text in named.items()},
    )


_TOP = 2_147_483_620
"""Largest code of a value label that is no missing value."""
