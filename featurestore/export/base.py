"""What an export is: named tables with a note on every column, and formats to hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd

from featurestore.dictionary import Column
from featurestore.errors import DataError, name_some

CODEBOOK_COLUMNS = (
    "table",
    "name",
    "label",
    "type",
    "unit",
    "levels",
    "group",
    "source_column",
    "n",
    "missing",
    "note",
)


@dataclasses.dataclass(frozen=True)
class ColumnNote:
    """What the codebook says of a column that is in no data dictionary."""

    label: str
    unit: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class ExportTable:
    """One table to be exported.

    Attributes:
        name: File name without ending.
        frame: The rows; column types are text, whole numbers, floats or booleans.
        columns: Dictionary entries of the columns that have one, by column name.
        notes: Notes on the other columns, by column name.
    """

    name: str
    frame: pd.DataFrame
    columns: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, ColumnNote] = dataclasses.field(default_factory=dict)

    def codebook(self) -> pd.DataFrame:
        """One row a column, in `CODEBOOK_COLUMNS`.

        Raises:
            DataError: A column is described nowhere.
        """
        undescribed = [
            c for c in self.frame.columns if c not in self.columns and c not in self.notes
        ]
        if undescribed:
            raise DataError(
                f"export table {self.name!r}: no codebook entry for {name_some(undescribed)}"
            )
        return pd.DataFrame(
            [self._codebook_row(str(name)) for name in self.frame.columns],
            columns=list(CODEBOOK_COLUMNS),
        )

    def _codebook_row(self, name: str) -> dict[str, object]:
        values = self.frame[name]
        common = {
            "table": self.name,
            "name": name,
            "n": int(values.notna().sum()),
            "missing": int(values.isna().sum()),
        }
        if name in self.columns:
            column = self.columns[name]
            return common | {
                "label": column.label or name,
                "type": column.kind,
                "unit": column.unit,
                "levels": " < ".join(column.levels)
                if column.kind == "ordinal"
                else " | ".join(column.levels),
                "group": column.group,
                "source_column": column.source_column,
                "note": "reveals the outcome; not given to models" if column.leaks else "",
            }
        note = self.notes[name]
        return common | {
            "label": note.label,
            "type": str(values.dtype),
            "unit": note.unit,
            "levels": "",
            "group": "",
            "source_column": "",
            "note": note.note,
        }


class Exporter(Protocol):
    """A file format.

    `write` and `read` must be inverse up to what `normalise` states; `write_tables` checks it.
    """

    name: str
    suffix: str

    def normalise(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Returns the table as the format can hold it (for example guarded text)."""
        ...

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        """Writes a normalised table."""
        ...

    def read(self, path: Path, like: pd.DataFrame) -> pd.DataFrame:
        """Reads a file back with the column types of `like`."""
        ...
