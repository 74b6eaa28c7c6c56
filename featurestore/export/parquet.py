"""Apache Parquet, with types, and with labels in the metadata of its columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from featurestore.export.fitting import Limits, fit
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable

LIMITS = Limits(
    "parquet",
    table_label=10_000,
    label=10_000,
    exact_integers=True,
    empty_text=True,
    nul=True,
)
_LABEL = b"label"
_TYPES = {"text": pyarrow.string(), "date": pyarrow.date32()}


class ParquetExporter:
    """Zstandard; read by R (arrow), Python, DuckDB, Spark and recent Stata.

    Coded texts are texts.
    """

    name = "parquet"
    suffix = ".parquet"

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Parquet holds every value that a table may have."""
        return fit(table, LIMITS)

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes the table."""
        fields, arrays = [], []
        for column in table.columns:
            array = pyarrow.Array.from_pandas(_plain(column), type=_TYPES.get(column.kind))
            arrays.append(array)
            metadata = {_LABEL: column.label.encode()}
            fields.append(pyarrow.field(column.name, array.type, metadata=metadata))
        schema = pyarrow.schema(fields, metadata={_LABEL: table.label.encode()})
        pyarrow.parquet.write_table(
            pyarrow.Table.from_arrays(arrays, schema=schema),
            path,
            compression="zstd",
            write_page_checksum=True,
        )

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads the table and checks the checksum of every page.

        This is the library that wrote the file, the one reader that melafuse depends on anyway;
        the tests read such files with an independent one.
        """
        found = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        columns = []
        for field, values in zip(found.schema, found.columns, strict=True):
            series = values.to_pandas()
            kind = "number"
            if pyarrow.types.is_date(field.type):
                kind, series = "date", pd.Series(pd.to_datetime(series)).astype("datetime64[s]")
            elif pyarrow.types.is_string(field.type):
                kind, series = "text", series.astype("str")
            label = (field.metadata or {}).get(_LABEL, b"").decode()
            columns.append(Stored(field.name, kind, series, label))  # type: ignore[arg-type]
        label = (found.schema.metadata or {}).get(_LABEL, b"").decode()
        return StoredTable(like.name, label, tuple(columns), found.num_rows)


def _plain(column: Stored) -> pd.Series:
    return column.values.dt.date if column.kind == "date" else column.values
