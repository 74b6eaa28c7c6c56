"""What an export is: named tables with a note on every column, and formats to hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from featurestore.export.names import export_names
from featurestore.export.stored import StoredTable
from featurestore.export.variables import Change, LabelledTable
from featurestore.tables import Column

Role = Literal["", "patient", "image", "lesion", "any_id", "digest", "file_size", "age", "text"]
"""What a column means for privacy; see `featurestore.export.deidentify`."""


@dataclasses.dataclass(frozen=True)
class ColumnNote:
    """What the codebook says of a column that is in no data dictionary.

    Attributes:
        label: Words for people.
        unit: Unit of a number.
        note: Anything else that a reader must know.
        values: Meaning of each code of a numeric column.
        levels: Texts that a column can hold, in order, where it is coded.
        group: Group of the codebook.
        role: What the column means for privacy.
    """

    label: str
    unit: str = ""
    note: str = ""
    values: Mapping[int, str] = dataclasses.field(default_factory=dict)
    levels: tuple[str, ...] = ()
    group: str = ""
    role: Role = ""


@dataclasses.dataclass(frozen=True)
class ExportTable:
    """One table to be exported, with the names that the study uses.

    Attributes:
        name: File name without ending.
        frame: The rows; column types are text, numbers, booleans or dates.
        columns: Dictionary entries of the columns that have one, by column name.
        notes: Notes on the other columns, by column name.
        label: One sentence on what a row is.
        key: Columns that name a row; no two rows share them.
        repeated: Columns that every part has where the table is split, beside the key.
        reasons: Per column the code of the reason why a value is missing
            (`featurestore.tables.gaps`), 0 where there is none. Shape (n,).
    """

    name: str
    frame: pd.DataFrame
    columns: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, ColumnNote] = dataclasses.field(default_factory=dict)
    label: str = ""
    key: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    reasons: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def exported_names(self) -> dict[str, str]:
        """Exported name of every column; it depends on what the columns are, not on their values.

        Raises:
            DataError: A name stands twice.
        """
        coded = {name for name, note in self.notes.items() if note.values or note.levels}
        coded |= {*self.columns, *self.reasons}
        coded |= {str(c) for c, t in self.frame.dtypes.items() if pd.api.types.is_bool_dtype(t)}
        return export_names([str(c) for c in self.frame.columns], coded)


class Exporter(Protocol):
    """A file format.

    `read` must return what `write` was given, label by label and cell by cell, out of the bytes of
    the file alone; `write_table` compares them before a file gets its name. Tests read the same
    files with code that shares nothing with either. What the format
    cannot hold is decided in `fit` alone, and every such change is stated.

    Attributes:
        name: Name on the command line.
        suffix: Ending of its files.
    """

    name: str
    suffix: str

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Returns the table as the format can hold it, and what that changes."""
        ...

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes a fitted table."""
        ...

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads a file back.

        Args:
            path: The file.
            like: What was written; gives types to a file that has none, and nothing else.
        """
        ...
