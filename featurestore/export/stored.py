"""What a file holds, as it is given to a writer and as an independent reader finds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from featurestore.errors import StoreError
from featurestore.plain import plain


@dataclasses.dataclass(frozen=True)
class Stored:
    """One column of a file.

    Attributes:
        name: Name.
        kind: What `values` holds.
        values: float64 or int64, text, or `datetime64[s]`; NaN, None or NaT where missing.
        label: Label; empty where there is none, or the format has none.
        value_labels: Label of each code.
        reasons: Code of the reason why a value is missing (`featurestore.tables.gaps`); shape
            (n,), int8.
        reason_labels: Label of each of those codes, as far as the column uses it.
        measure: How it is measured, for formats that keep it.
    """

    name: str
    kind: Literal["number", "text", "date"]
    values: pd.Series
    label: str = ""
    value_labels: Mapping[int, str] = dataclasses.field(default_factory=dict)
    reasons: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, dtype=np.int8))
    reason_labels: Mapping[int, str] = dataclasses.field(default_factory=dict)
    measure: str = dataclasses.field(default="", compare=False)

    def texts(self) -> pd.Series:
        """Values of a column of text for a writer: None where missing."""
        return self.values.astype(object).where(self.values.notna(), None)

    @classmethod
    def of_texts(cls, name: str, read: pd.Series, label: str) -> Stored:
        """A column of text as a reader finds it, where an empty one is missing."""
        texts = read.astype(object).where(read.notna() & (read != ""), None)
        return cls(name, "text", texts.astype("str"), label)


@dataclasses.dataclass(frozen=True)
class StoredTable:
    """The columns of a file."""

    name: str
    label: str
    columns: tuple[Stored, ...]
    rows: int


def require_same(wrote: StoredTable, read: StoredTable, where: str) -> None:
    """Compares a table with what was read back: names, labels, value labels, and every cell.

    Raises:
        StoreError: Anything differs; the message names the first difference.
    """
    names, found = [c.name for c in wrote.columns], [c.name for c in read.columns]
    if names != found or wrote.rows != read.rows:
        raise StoreError(
            f"{where}: reads back with {read.rows} rows and {len(found)} columns instead of "
            f"{wrote.rows} and {len(names)}, or other names; not written"
        )
    if wrote.label != read.label:
        raise StoreError(f"{where}: the label reads back as {read.label!r}; not written")
    for given, back in zip(wrote.columns, read.columns, strict=True):
        _require_same_column(given, back, where)


def _require_same_column(given: Stored, back: Stored, where: str) -> None:
    for what in ("kind", "label", "value_labels", "reason_labels"):
        wanted, found = getattr(given, what), getattr(back, what)
        if wanted != found:
            raise StoreError(
                f"{where}: {what.replace('_', ' ')} of {given.name!r} read back as {found!r} "
                f"instead of {wanted!r}; not written"
            )
    left, right = given.values, back.values
    same = (left == right).fillna(False).to_numpy(dtype=bool)
    same = same | (left.isna() & right.isna()).to_numpy(dtype=bool)
    if not same.all():
        row = int((~same).argmax())
        raise StoreError(
            f"{where}: column {given.name!r} row {row} reads back as {plain(right.iloc[row])!r} "
            f"instead of {plain(left.iloc[row])!r}; not written"
        )
    if given.reasons.any() or back.reasons.any():
        codes = back.reasons if len(back.reasons) else np.zeros(len(left), dtype=np.int8)
        if not np.array_equal(given.reasons, codes):
            raise StoreError(
                f"{where}: column {given.name!r} reads back with other reasons for missing "
                "values; not written"
            )
