"""Tables on their way out: every column has its exported name, its type and its meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

CHANGE_COLUMNS = ("format", "table", "variable", "change", "cells")
EVERY_FORMAT = "all"

Kind = Literal["number", "text", "date"]
Measure = Literal["scale", "ordinal", "nominal"]


@dataclasses.dataclass(frozen=True)
class Change:
    """One way in which a file differs from the study's table; all are told to the user.

    Attributes:
        format: Name of the format, or `all`.
        table: Name of the table.
        variable: Exported name of the variable; empty where the whole table is meant.
        change: What is different.
        cells: Number of values that it concerns.
    """

    format: str
    table: str
    variable: str
    change: str
    cells: int


def changes_table(changes: list[Change]) -> pd.DataFrame:
    """One row a change: `CHANGE_COLUMNS`."""
    rows = [dataclasses.astuple(change) for change in changes]
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS)).astype(
        {name: "int64" if name == "cells" else "str" for name in CHANGE_COLUMNS}
    )


@dataclasses.dataclass(frozen=True)
class Variable:
    """One column, in the same terms for every format.

    Attributes:
        name: Exported name.
        original: Name in the study.
        kind: What `values` holds: float64 or int64, text, or dates (`datetime64[s]`).
        values: The values; NaN, None or NaT where missing. Index 0 to n - 1.
        label: Words for people, without unit and original name.
        measure: How it is measured.
        levels: Texts that a coded text variable can hold, in order of their codes from 1.
        meanings: Meaning of the codes of a coded number.
        reasons: Code of the reason why a value is missing, 0 where there is none or the value is
            known. Shape (n,), int8.
        unit: Unit.
        group: Group of the ablation.
        source: Where it came from.
        note: Anything else.
        type: Word for the codebook.
    """

    name: str
    original: str
    kind: Kind
    values: pd.Series
    label: str
    measure: Measure
    levels: tuple[str, ...]
    meanings: Mapping[int, str]
    reasons: np.ndarray
    unit: str = ""
    group: str = ""
    source: str = ""
    note: str = ""
    type: str = ""

    @property
    def coded(self) -> Mapping[int, str]:
        """Codes and their meanings, of coded text and coded numbers alike."""
        return dict(enumerate(self.levels, start=1)) or self.meanings

    @property
    def renamed(self) -> bool:
        """Whether the exported name is another one than the study's."""
        return self.name != self.original


@dataclasses.dataclass(frozen=True)
class LabelledTable:
    """A table of variables.

    Attributes:
        name: File name without ending; follows the rule for names.
        label: One sentence on what a row is.
        variables: In order.
        key: Exported names of the variables that name a row.
        repeated: Exported names of the variables that every part has after a split.
        split_from: Name of the whole table, where this is a part of it.
    """

    name: str
    label: str
    variables: tuple[Variable, ...]
    key: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    split_from: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.variables[0].values) if self.variables else 0

    def __getitem__(self, name: str) -> Variable:
        return next(v for v in self.variables if v.name == name)

    def __contains__(self, name: object) -> bool:
        return any(v.name == name for v in self.variables)


def printable(text: str) -> str:
    """Text for a label or a comment: no line ends, no control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
