"""SAS transport files of version 8 (.xpt): names of 32 and labels of 256 characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat

from featurestore.export.fitting import Limits, fit
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable

# IBM doubles reach from 16^-65 to 16^63; beyond that the writer stores infinity or 0, and a wrong
# exponent from 2^249 on.
LIMITS = Limits(
    "xpt",
    table_label=40,
    label=256,
    text=32_767,
    bytes=True,
    largest=float(np.nextafter(2.0**249, 0)),
    smallest=16.0**-65,
    trailing_blanks=False,
)
_EPOCH = pd.Timestamp("1960-01-01")
_DAY = pd.Timedelta(days=1)


class SasExporter:
    """Written and read back by ReadStat (pyreadstat), whose reader is other code than its writer.

    The format has no value labels, so coded texts are texts; the import script makes formats for
    coded numbers. Texts are UTF-8.
    """

    name = "xpt"
    suffix = ".xpt"

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Numbers become IBM doubles, which keep 53 bits but a smaller range."""
        return fit(table, LIMITS)

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes the table as a data set of its name."""
        pyreadstat.write_xport(
            pd.DataFrame({c.name: _physical(c) for c in table.columns}),
            str(path),
            file_label=table.label,
            column_labels={c.name: c.label for c in table.columns if c.label},
            table_name=table.name.upper(),
            file_format_version=8,
            variable_format={c.name: "DATE9" for c in table.columns if c.kind == "date"},
        )

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads the table."""
        frame, found = pyreadstat.read_xport(str(path), disable_datetime_conversion=True)
        columns = tuple(_stored(name, frame[name], found) for name in found.column_names)
        return StoredTable(
            (found.table_name or "").lower(), found.file_label or "", columns, len(frame)
        )


def _physical(column: Stored) -> pd.Series:
    if column.kind == "text":
        return column.texts()
    if column.kind == "date":
        return (column.values - _EPOCH) / _DAY
    return column.values.astype("float64")


def _stored(name: str, read: pd.Series, found: Any) -> Stored:
    """A column as pyreadstat finds it; `found` is its `metadata_container`."""
    label = found.column_names_to_labels[name] or ""
    if found.readstat_variable_types[name] == "string":
        return Stored.of_texts(name, read, label)
    values = read.astype("float64")
    if (found.original_variable_types[name] or "").rstrip("0123456789.") == "DATE":
        days = (_EPOCH + pd.to_timedelta(values, unit="D")).astype("datetime64[s]")
        return Stored(name, "date", days, label)
    return Stored(name, "number", values, label)
