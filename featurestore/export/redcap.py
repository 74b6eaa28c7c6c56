"""Comma-separated values as REDCap's data import takes them: codes in place of words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from featurestore.export.csv import CsvExporter, guard_texts
from featurestore.export.fitting import Limits, fit
from featurestore.export.labelling import EXACT_INTEGERS
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import Change, LabelledTable

LIMITS = Limits("redcap", value_label=1_000, exact_integers=True)
CODED = "levels are codes; the choices of redcap_dictionary.csv say what they mean"


class RedcapExporter:
    """The rows for REDCap; the project is made from `redcap_dictionary.csv` beside them.

    Written and read as CSV is, dates as `YYYY-MM-DD`. The dictionary
    (`featurestore.export.scripts.redcap`) is of table `analysis`, a record a patient.
    """

    name = "redcap"
    suffix = ".redcap.csv"

    def __init__(self) -> None:
        """Writes and reads by the exporter of CSV."""
        self._csv = CsvExporter()

    def fit(self, table: LabelledTable) -> tuple[StoredTable, list[Change]]:
        """Puts codes in place of levels; like CSV, the file itself has no labels."""
        stored, changes = fit(table, LIMITS)
        columns = []
        for variable, column in zip(table.variables, stored.columns, strict=True):
            if variable.levels:
                known = int(column.values.notna().sum())
                changes += [Change(self.name, table.name, column.name, CODED, known)] * (known > 0)
            columns.append(dataclasses.replace(column, value_labels={}))
        plain = dataclasses.replace(stored, columns=tuple(columns))
        return guard_texts(plain, changes, self.name)

    def write(self, table: StoredTable, path: Path) -> None:
        """Writes as CSV, whole numbers without a point: REDCap knows no choice `1.0`."""
        columns = [
            dataclasses.replace(c, values=c.values.astype("Int64")) if _is_whole(c) else c
            for c in table.columns
        ]
        self._csv.write(dataclasses.replace(table, columns=tuple(columns)), path)

    def read(self, path: Path, like: StoredTable) -> StoredTable:
        """Reads as CSV is read."""
        return self._csv.read(path, like)


def _is_whole(column: Stored) -> bool:
    values = column.values
    if column.kind != "number" or not pd.api.types.is_float_dtype(values.dtype):
        return False
    known = values.dropna()
    return bool(len(known) and (known.abs() <= EXACT_INTEGERS).all() and (known % 1 == 0).all())
