"""Numbers out of text: which mark is decimal and which groups thousands is decided once a column.

`1.234` is a thousand in one file and a little more than one in the next. What a mark means is told
by the cells that leave no doubt (`0,5` and `12.75` are decimal, `1.234,5` and `1.234.567` are
grouped) and holds for the whole column. Cells that may be either are read only where others decide.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

import numpy as np
import pandas as pd

Meaning = Literal["decimal", "grouping", "unclear"]

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_NUMBER = rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}"
# Spaces and apostrophes never part decimals, so they group wherever three digits follow each.
_SPACED = r"[+-]?[1-9]\d{0,2}(?:[ '\u2019\u00a0\u2009\u202f]\d{3})+(?:[.,]\d+)?"
_SPACES = re.compile(r"[ '\u2019\u00a0\u2009\u202f]")
_MANY = 100.0
"""Whole numbers of this size beside `1.234` may be counts: then that is more than a thousand."""


@dataclasses.dataclass(frozen=True)
class Marks:
    """What points and commas mean in the numbers of a column.

    Attributes:
        point: `decimal`, `grouping`, or `unclear`: then cells in which it may be either are
            refused.
        comma: The same.
    """

    point: Meaning = "decimal"
    comma: Meaning = "unclear"


def find_marks(texts: pd.Series) -> Marks:
    """Decides what points and commas mean.

    Args:
        texts: Every known text of a column, or of a whole matrix.
    """
    known = texts.dropna()
    point_cells = _marked(known, ".")
    comma_cells = _marked(known, ",")
    if comma_cells.empty:
        return Marks(_lonely_point(known, point_cells), "unclear")
    decimal_point = _decimal(point_cells, ".") or _grouped(comma_cells, ",", ".")
    decimal_comma = _decimal(comma_cells, ",") or _grouped(point_cells, ".", ",")
    if decimal_point and decimal_comma:
        return Marks("unclear", "unclear")
    if decimal_point:
        return Marks("decimal", "grouping" if _grouped(comma_cells, ",", ".") else "unclear")
    if decimal_comma:
        return Marks("grouping", "decimal")
    return Marks(_lonely_point(known, point_cells), "unclear")


def read_numbers(texts: pd.Series, marks: Marks) -> pd.Series:
    """Floats of a column; NaN where a text is no finite number or its marks are unclear."""
    values = pd.Series(np.nan, index=texts.index, dtype=float)
    known = texts.dropna()
    plain = known.str.fullmatch(_NUMBER).astype(bool)
    if marks.point != "decimal":
        plain &= ~known.str.contains(".", regex=False).astype(bool)
    rest = known[~plain]
    numbers = known[plain].astype(float)
    if len(rest):
        single = {text: _with_marks(text, marks) for text in rest.unique()}
        numbers = pd.concat([numbers, rest.map(single).astype(float)])
    numbers = numbers[np.isfinite(numbers)]
    values[numbers.index] = numbers
    return values


def read_number(text: str) -> float | None:
    """One number by itself, as people write it; None where it is none or may be two (`1,234`)."""
    single = pd.Series([text.strip()], dtype="str")
    value = float(read_numbers(single, find_marks(single)).iloc[0])
    return None if np.isnan(value) else value


def is_unclear(text: str) -> bool:
    """Whether a text is a number in which a mark may be decimal or group thousands."""
    return re.fullmatch(rf"{_single_group('.')}|{_single_group(',')}", text) is not None


def _with_marks(text: str, marks: Marks) -> float:
    """A text that is no plain number, as the marks of its column have it."""
    if re.fullmatch(_SPACED, text):
        text = _SPACES.sub("", text)
        mark = "," if "," in text else "."
        return float(text.replace(mark, "."))
    for decimal, group, meaning, other in (
        (",", ".", marks.comma, marks.point),
        (".", ",", marks.point, marks.comma),
    ):
        if _fits(text, decimal, group, meaning, other):
            return float(text.replace(group, "").replace(decimal, "."))
    return np.nan


def _fits(text: str, decimal: str, group: str, meaning: Meaning, other: Meaning) -> bool:
    """Whether a text is a number with this decimal and this grouping mark."""
    if re.fullmatch(_mixed(group, decimal), text):  # 1.234,5 says by itself what is what
        return meaning != "grouping" and other != "decimal"
    if re.fullmatch(_repeated(group), text):  # 1.234.567
        return other != "decimal"
    if re.fullmatch(_single_group(group), text):  # 1.234: the column decides
        return other == "grouping"
    if re.fullmatch(_fraction(decimal), text):
        if re.fullmatch(_single_group(decimal), text):
            return meaning == "decimal"
        return meaning != "grouping"
    return False


def _fraction(mark: str) -> str:
    return rf"[+-]?\d*{re.escape(mark)}\d+{_EXPONENT}"


def _single_group(mark: str) -> str:
    return rf"[+-]?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}"


def _repeated(mark: str) -> str:
    return rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}}){{2,}}"


def _mixed(group: str, decimal: str) -> str:
    return rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(group)}\d{{3}})+{re.escape(decimal)}\d+"


def _marked(known: pd.Series, mark: str) -> pd.Series:
    return known[known.str.contains(mark, regex=False).astype(bool)]


def _decimal(cells: pd.Series, mark: str) -> bool:
    """Whether the mark is decimal in a cell that cannot be grouped."""
    if cells.empty:
        return False
    number = cells.str.fullmatch(_fraction(mark)).astype(bool)
    return bool((number & ~cells.str.fullmatch(_single_group(mark)).astype(bool)).any())


def _grouped(cells: pd.Series, group: str, decimal: str) -> bool:
    """Whether the mark groups in a cell that cannot be read otherwise."""
    if cells.empty:
        return False
    pattern = rf"{_mixed(group, decimal)}|{_repeated(group)}"
    return bool(cells.str.fullmatch(pattern).any())


def _lonely_point(known: pd.Series, cells: pd.Series) -> Meaning:
    """What points mean in a column without commas that decide.

    Programs write decimals with a point, so points are decimal; but not where some are repeated
    (`1.234.567`), and not for certain where whole numbers in the hundreds stand beside cells with
    exactly three digits after the point and nothing else does.
    """
    if cells.empty or _decimal(cells, "."):
        return "unclear" if _grouped(cells, ".", ",") else "decimal"
    if _grouped(cells, ".", ","):
        return "grouping"
    if not cells.str.fullmatch(_single_group(".")).any():
        return "decimal"
    whole = known[known.str.fullmatch(r"[+-]?\d{1,3}").astype(bool)].astype(float).abs()
    longer = known.str.fullmatch(r"[+-]?\d{4,}").any()
    return "unclear" if len(whole) and not longer and whole.median() >= _MANY else "decimal"
