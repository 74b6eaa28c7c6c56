"""What a format cannot hold: found before anything is written, and never changed in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from featurestore.export.labelling import EXACT_INTEGERS
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable, Variable, printable
from featurestore.tables import LABELS

_NUL = "\x00"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a format can hold.

    Attributes:
        name: Name of the format.
        table_label: Longest label of a table; 0 where there is none.
        label: Longest label of a column; 0 where there is none.
        value_label: Longest label of a value; 0 where texts are written as they are.
        text: Longest text in bytes of UTF-8.
        bytes: Whether labels are counted in bytes, not in characters.
        exact_integers: Whether whole numbers of 64 bits survive.
        largest: Largest size of a number.
        smallest: Smallest size of a number that is not 0.
        reasons: Whether a missing value can say why it is missing.
        empty_text: Whether an empty text is something else than a missing one.
        trailing_blanks: Whether blanks at the end of a text survive.
        nul: Whether the character NUL survives.
        earliest: First date that the format can hold, where that matters.
    """

    name: str
    table_label: int = 0
    label: int = 0
    value_label: int = 0
    text: int | None = None
    bytes: bool = False
    exact_integers: bool = False
    largest: float = np.inf
    smallest: float = 0.0
    reasons: bool = False
    empty_text: bool = False
    trailing_blanks: bool = True
    nul: bool = False
    earliest: str = ""


def fit(table: LabelledTable, limits: Limits) -> tuple[StoredTable, list[Change]]:
    """Returns a table as a format can hold it, and every change that this takes."""
    told: list[Change] = []

    def tell(variable: str, change: str, cells: int) -> None:
        if cells:
            told.append(Change(limits.name, table.name, variable, change, cells))

    label = _cut(table.label, limits.table_label, limits.bytes).strip()
    if limits.table_label:
        tell("", "the label of the table is cut", int(label != table.label))
    if not limits.reasons:
        told_why = sum(int((v.reasons > 0).sum()) for v in table.variables)
        tell("", "why values are missing is not in the file, but in the codebook", told_why)
    columns = tuple(_Fitter(variable, limits, tell).column() for variable in table.variables)
    return StoredTable(table.name, label, columns, table.rows), told


class _Fitter:
    """One variable on its way into one format."""

    def __init__(self, variable: Variable, limits: Limits, tell: object) -> None:
        self._variable = variable
        self._limits = limits
        self._tell = lambda change, cells: tell(variable.name, change, int(cells))  # type: ignore[operator]

    def column(self) -> Stored:
        variable, limits = self._variable, self._limits
        coded = variable.coded if limits.value_label else {}
        if variable.levels and coded:
            codes = {level: float(code) for code, level in variable.coded.items()}
            kind, values = "number", variable.values.map(codes).astype("float64")
        elif variable.kind == "number":
            kind, values = self._numbers(variable.values)
        elif variable.kind == "date":
            kind, values = self._dates(variable.values)
        else:
            kind, values = "text", self._texts(variable.values)
        reasons = variable.reasons
        if kind == "text" or not limits.reasons:
            if limits.reasons:
                self._tell("the reasons of missing values are not in the file", reasons.any())
            reasons = np.zeros_like(reasons)
        return Stored(
            variable.name,
            kind,  # type: ignore[arg-type]
            values,
            self._label(),
            self._value_labels(coded) if kind == "number" else {},
            reasons,
            {int(code): LABELS[int(code)] for code in np.unique(reasons[reasons > 0])},
            variable.measure,
        )

    def _label(self) -> str:
        """Label with unit and, where it was renamed, the original name, which is cut last."""
        variable, limit = self._variable, self._limits.label
        if not limit:
            return ""
        origin = f" [{printable(variable.original)}]" if variable.renamed else ""
        words = printable(variable.label + (f", {variable.unit}" if variable.unit else ""))
        whole = (words + origin).strip()
        room = limit - _size(origin, self._limits.bytes)
        label = whole
        if _size(whole, self._limits.bytes) > limit:
            cut = _cut(words, max(room, 0), self._limits.bytes) + origin
            label = _cut(cut.strip(), limit, self._limits.bytes).strip()
            self._tell("the label is cut; the codebook has all of it", 1)
        return label

    def _value_labels(self, coded: Mapping[int, str]) -> dict[int, str]:
        limits = self._limits
        plain = {k: printable(v) for k, v in coded.items()}
        clean = {k: _cut(v, limits.value_label, limits.bytes).strip() for k, v in plain.items()}
        clean = {k: v or "(empty)" for k, v in clean.items()}
        changed = sum(clean[k] != coded[k] for k in coded)
        self._tell("value labels are cut; the codebook has all of them", changed)
        return clean

    def _numbers(self, values: pd.Series) -> tuple[str, pd.Series]:
        limits = self._limits
        if pd.api.types.is_integer_dtype(values.dtype):
            if limits.exact_integers:
                return "number", values
            if len(values) and max(int(values.max()), -int(values.min())) > EXACT_INTEGERS:
                self._tell("whole numbers too long for a double are texts", len(values))
                return "text", values.astype("str")
            return "number", values.astype("float64")
        size = values.abs()
        huge = size > limits.largest
        tiny = (size < limits.smallest) & (size > 0)
        self._tell(f"a number above {limits.largest:.3g} is missing", huge.sum())
        self._tell(f"a number closer to 0 than {limits.smallest:.3g} is 0", tiny.sum())
        return "number", values.mask(huge).mask(tiny, 0.0)

    def _dates(self, values: pd.Series) -> tuple[str, pd.Series]:
        earliest = self._limits.earliest
        if earliest and (values.dropna() < pd.Timestamp(earliest)).any():
            self._tell(f"dates with one before {earliest} are texts", values.notna().sum())
            return "text", values.dt.strftime("%Y-%m-%d").astype("str")
        return "date", values

    def _texts(self, values: pd.Series) -> pd.Series:
        limits = self._limits
        known = values.dropna()
        made = known
        if not limits.nul:
            made = made.str.replace(_NUL, "", regex=False)
            self._tell("the character NUL is left out", (made != known).sum())
        if limits.text is not None:
            long = made.map(lambda t: _size(t, True) > (limits.text or 0)).astype(bool)
            self._tell(f"a text longer than {limits.text} bytes is cut", long.sum())
            made = made.where(~long, made.map(lambda t: _cut(t, limits.text or 0, True)))
        if not limits.trailing_blanks:
            bare = made.str.rstrip(" ")
            self._tell("blanks at the end of a text are left out", (bare != made).sum())
            made = bare
        if not limits.empty_text:
            empty = made == ""
            self._tell("an empty text is missing", empty.sum())
            made = made.mask(empty)
        return made.reindex(values.index).astype("str")


def _size(text: str, in_bytes: bool) -> int:
    return len(text.encode()) if in_bytes else len(text)


def _cut(text: str, limit: int, in_bytes: bool) -> str:
    if _size(text, in_bytes) <= limit:
        return text
    if not in_bytes:
        return text[:limit]
    return text.encode()[:limit].decode(errors="ignore")
