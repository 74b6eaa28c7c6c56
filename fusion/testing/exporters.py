"""What every export format owes its users."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from featurestore.errors import StoreError
from featurestore.export import Exporter, ExportTable, find_exporter
from featurestore.export.labelling import labelled
from featurestore.export.stored import Stored, StoredTable
from featurestore.export.variables import LabelledTable, Variable
from featurestore.export.write import write_table
from fusion.testing.export_tables import noted, tables


def original(variable: Variable) -> list[object]:
    """The study's values as plain numbers, texts and ISO dates; None where missing."""
    if variable.kind == "date":
        days = variable.values.dt.strftime("%Y-%m-%d")
        return [None if pd.isna(day) else day for day in days]
    return [None if pd.isna(value) else value for value in variable.values.tolist()]


def meant(found: list[object], variable: Variable, column: Stored) -> list[object]:
    """Codes of a file as the texts that they stand for."""
    if not (variable.levels and column.value_labels):
        return found
    return [None if code is None else variable.coded[int(float(str(code)))] for code in found]


@functools.cache
def _wide() -> tuple[np.ndarray, LabelledTable]:
    """Values of 2,000 columns, with gaps, and their table; made once, because it takes a second."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 2000)).round(12)
    values[::7, ::3] = np.nan
    frame = pd.DataFrame(values, columns=[f"Gene {i} of many" for i in range(2000)])
    return values, labelled(noted(frame))[0]


class ExporterSuite:
    """Tests of one format; subclass it, name the format, and read its files with other code.

    Attributes:
        exports: Its name: of an entry point of `melafuse.exports`.
        without_labels: Names of formats whose files hold no labels.
        rounds_numbers: Names of formats that keep fewer digits, and say so.
    """

    exports: ClassVar[str] = ""
    without_labels: ClassVar[tuple[str, ...]] = ()
    rounds_numbers: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def form(self) -> str:
        """The format under test."""
        return self.exports

    @pytest.fixture
    def exporter(self, form: str) -> Exporter:
        """Its exporter."""
        return find_exporter(form)

    def read_independently(self, form: str, path: Path) -> pd.DataFrame:
        """Reads a file by code that shares nothing with the exporter; columns in their order."""
        raise NotImplementedError("read the file with another library")

    def cells(self, values: pd.Series, column: Stored, form: str) -> list[object]:
        """What was read of a column, as plain numbers, texts and ISO dates; None where missing."""
        return [None if pd.isna(value) else value for value in values.tolist()]

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(table=tables())
    def test_another_library_finds_every_value_or_the_user_was_told(
        self, form: str, exporter: Exporter, table: ExportTable, tmp_path: Path
    ) -> None:
        """Nothing is lost in silence."""
        made, _ = labelled(table)
        path = tmp_path / f"t{exporter.suffix}"
        changes = write_table(made, exporter, path)
        stored, _ = exporter.fit(made)
        frame = self.read_independently(form, path)
        assert list(frame.columns) == [v.name for v in made.variables]
        assert len(frame) == made.rows
        for variable, column in zip(made.variables, stored.columns, strict=True):
            found = meant(self.cells(frame[variable.name], column, form), variable, column)
            wanted = original(variable)
            different = sum(f != w and str(f) != str(w) for f, w in zip(found, wanted, strict=True))
            told = sum(c.cells for c in changes if c.variable == variable.name)
            assert different <= told, (variable, found, wanted, changes)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

    def test_a_wrong_file_is_never_named(
        self, form: str, exporter: Exporter, tmp_path: Path
    ) -> None:
        """A file that reads back differently does not appear."""

        class Lossy:
            name, suffix = exporter.name, exporter.suffix
            fit, read = exporter.fit, exporter.read

            def write(self, table: StoredTable, path: Path) -> None:
                rounded = [dataclasses.replace(c, values=c.values.round(3)) for c in table.columns]
                exporter.write(dataclasses.replace(table, columns=tuple(rounded)), path)

        made, _ = labelled(noted(pd.DataFrame({"number": [1.0, 1 / 3]})))
        with pytest.raises(StoreError, match="column 'number' row 1"):
            write_table(made, Lossy(), tmp_path / f"t{exporter.suffix}")
        assert list(tmp_path.iterdir()) == []

    def test_a_lost_label_is_noticed(self, form: str, exporter: Exporter, tmp_path: Path) -> None:
        """Labels are read back too."""

        class Forgetful:
            name, suffix = exporter.name, exporter.suffix
            fit, read = exporter.fit, exporter.read

            def write(self, table: StoredTable, path: Path) -> None:
                bare = [dataclasses.replace(c, label="") for c in table.columns]
                exporter.write(dataclasses.replace(table, columns=tuple(bare)), path)

        if form in self.without_labels:
            pytest.skip("the format has no labels")
        made, _ = labelled(noted(pd.DataFrame({"number": [1.0, 1 / 3]})))
        with pytest.raises(StoreError, match="label of 'number'"):
            write_table(made, Forgetful(), tmp_path / f"t{exporter.suffix}")

    def test_a_full_table_keeps_every_digit_without_a_word(
        self, form: str, exporter: Exporter, tmp_path: Path
    ) -> None:
        """Plain numbers are plain."""
        if form in self.rounds_numbers:
            pytest.skip("numbers have fewer digits, which the changes say")
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(50, 4)), columns=list("wxyz"))
        made, _ = labelled(noted(frame.assign(name=[f"p{i}" for i in range(50)])))
        assert write_table(made, exporter, tmp_path / f"t{exporter.suffix}") == []

    def test_two_thousand_columns(self, form: str, exporter: Exporter, tmp_path: Path) -> None:
        """Expression tables are wide."""
        values, made = _wide()
        path = tmp_path / f"t{exporter.suffix}"
        assert write_table(made, exporter, path) == []
        found = self.read_independently(form, path).replace("", np.nan).astype(float).to_numpy()
        np.testing.assert_array_equal(found, values)
