"""SAS transport files of version 8 (.xpt): names of 32 and labels of 256 characters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

from featurestore.export._xport_reader import XportColumn, read_xport
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
    """Written by ReadStat (pyreadstat), read back by `_xport_reader`.

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
        found = read_xport(path)
        columns = tuple(_stored(column) for column in found.columns)
        return StoredTable(found.name.lower(), found.label, columns, found.rows)


def _physical(column: Stored) -> pd.Series:
    if column.kind == "text":
        return column.values.astype(object).where(column.values.notna(), None)
    if column.kind == "date":
        return (column.values - _EPOCH) / _DAY
    return column.values.astype("float64")


def _stored(column: XportColumn) -> Stored:
    if column.is_text:
        texts = [value.decode() or None for value in column.values]
        return Stored(column.name, "text", pd.Series(texts, dtype="str"), column.label)
    values = pd.Series(column.values, dtype="float64")
    if column.format == "DATE":
        days = (_EPOCH + pd.to_timedelta(values, unit="D")).astype("datetime64[s]")
        return Stored(column.name, "date", days, column.label)
    return Stored(column.name, "number", values, column.label)
