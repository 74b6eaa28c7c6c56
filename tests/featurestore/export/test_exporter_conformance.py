"""Every registered export format passes the same tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export_example import READERS, cells, noted, tables
from hypothesis import HealthCheck, given, settings

from featurestore.errors import StoreError
from featurestore.export import EXPORTERS, Exporter, ExportTable
from featurestore.export.labelling import labelled
from featurestore.export.stored import StoredTable
from featurestore.export.variables import Change, Variable
from featurestore.export.write import write_table


def original(variable: Variable) -> list[object]:
    """The study's values as plain numbers, texts and ISO dates; None where missing."""
    if variable.kind == "date":
        days = variable.values.dt.strftime("%Y-%m-%d")
        return [None if pd.isna(day) else day for day in days]
    return [None if pd.isna(value) else value for value in variable.values.tolist()]


def meant(found: list[object], variable: Variable, column: object) -> list[object]:
    """Codes of a file as the texts that they stand for."""
    if not (variable.levels and column.value_labels):  # type: ignore[attr-defined]
        return found
    return [None if code is None else variable.coded[int(code)] for code in found]  # type: ignore[call-overload]


@pytest.mark.parametrize("form", sorted(EXPORTERS))
class TestExporter:
    """What every format owes its users."""

    @pytest.fixture
    def exporter(self, form: str) -> Exporter:
        return EXPORTERS[form]

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(table=tables())
    def test_another_library_finds_every_value_or_the_user_was_told(
        self, form: str, exporter: Exporter, table: ExportTable, tmp_path: Path
    ) -> None:
        made, _ = labelled(table)
        path = tmp_path / f"t{exporter.suffix}"
        changes = write_table(made, exporter, path)
        stored, _ = exporter.fit(made)
        frame = READERS[form](path)
        assert list(frame.columns) == [v.name for v in made.variables]
        assert len(frame) == made.rows
        for variable, column in zip(made.variables, stored.columns, strict=True):
            found = meant(cells(frame[variable.name], column, form), variable, column)
            wanted = original(variable)
            different = sum(f != w and str(f) != str(w) for f, w in zip(found, wanted, strict=True))
            told = sum(c.cells for c in changes if c.variable == variable.name)
            assert different <= told, (variable, found, wanted, changes)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

    def test_a_wrong_file_is_never_named(
        self, form: str, exporter: Exporter, tmp_path: Path
    ) -> None:
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
        class Forgetful:
            name, suffix = exporter.name, exporter.suffix
            fit, read = exporter.fit, exporter.read

            def write(self, table: StoredTable, path: Path) -> None:
                bare = [dataclasses.replace(c, label="") for c in table.columns]
                exporter.write(dataclasses.replace(table, columns=tuple(bare)), path)

        if form in ("csv", "redcap", "xlsx"):
            pytest.skip("CSV has no labels")
        made, _ = labelled(noted(pd.DataFrame({"number": [1.0, 1 / 3]})))
        with pytest.raises(StoreError, match="label of 'number'"):
            write_table(made, Forgetful(), tmp_path / f"t{exporter.suffix}")

    def test_a_full_table_keeps_every_digit_without_a_word(
        self, form: str, exporter: Exporter, tmp_path: Path
    ) -> None:
        if form == "xlsx":
            pytest.skip("numbers have 16 digits, which the changes say")
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(50, 4)), columns=list("wxyz"))
        made, _ = labelled(noted(frame.assign(name=[f"p{i}" for i in range(50)])))
        assert write_table(made, exporter, tmp_path / f"t{exporter.suffix}") == []

    @pytest.mark.slow
    def test_two_thousand_columns(self, form: str, exporter: Exporter, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        values = rng.normal(size=(40, 2000)).round(12)
        values[::7, ::3] = np.nan
        frame = pd.DataFrame(values, columns=[f"Gene {i} of many" for i in range(2000)])
        made, _ = labelled(noted(frame))
        path = tmp_path / f"t{exporter.suffix}"
        assert write_table(made, exporter, path) == []
        found = READERS[form](path).replace("", np.nan).astype(float).to_numpy()
        np.testing.assert_array_equal(found, values)


def test_an_infinite_number_is_missing_and_told() -> None:
    made, changes = labelled(noted(pd.DataFrame({"x": [1.0, np.inf, -np.inf]})))
    assert made["x"].values.isna().tolist() == [False, True, True]
    assert changes == [Change("all", "t", "x", "an infinite value is missing", 2)]
