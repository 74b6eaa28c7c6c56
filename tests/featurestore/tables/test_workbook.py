"""Excel workbooks are read as the tables that they show, or refused in one line."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

import featurestore.tables.workbook
from featurestore.errors import DataError
from featurestore.tables import read_head, read_table

Fill = Callable[[Any, Any], None]


def made(folder: Path, fill: Fill, name: str = "t.xlsx") -> Path:
    """A workbook of one sheet, and of what `fill` adds."""
    path = folder / name
    with xlsxwriter.Workbook(path) as book:
        fill(book, book.add_worksheet("Patients"))
    return path


def cohort(book: Any, sheet: Any) -> None:
    sheet.write_row(0, 0, ["Melanoma cohort 2019"])
    sheet.write_row(2, 0, ["patient", "age", "breslow", "visit", "ulceration", "note", "site"])
    sheet.write_number(3, 0, 7, book.add_format({"num_format": "00000"}))
    sheet.write_row(3, 1, [61, 0.1])
    sheet.write_datetime(3, 3, datetime.datetime(2019, 3, 1), book.add_format({"num_format": 14}))
    sheet.write_boolean(3, 4, True)
    sheet.write_string(3, 5, "two\nlines, and a\ttab")
    sheet.write_string(3, 6, "None")
    sheet.write_row(5, 0, ["00008", 2**52, 1e-7])  # after an empty row
    sheet.write_formula(5, 4, "=1=2", value=False)


def test_a_sheet_is_read_as_it_is_shown(tmp_path: Path) -> None:
    table = read_table(made(tmp_path, cohort))
    assert list(table.columns) == [
        "patient",
        "age",
        "breslow",
        "visit",
        "ulceration",
        "note",
        "site",
    ]
    assert table.iloc[0].tolist() == [
        *("00007", "61", "0.1", "2019-03-01", "TRUE", "two lines, and a tab", "None")
    ]
    assert table.iloc[1].tolist() == ["00008", str(2**52), "1e-07", "", "FALSE", "", ""]


def test_the_head_is_that_of_the_table(tmp_path: Path) -> None:
    path = made(tmp_path, cohort, "renamed.csv")
    head = read_head(path)
    assert head.header == tuple(read_table(path).columns)
    assert [row[0] for row in head.rows] == ["00007", "00008"]


def test_hidden_and_empty_sheets_are_no_tables(tmp_path: Path) -> None:
    def fill(book: Any, sheet: Any) -> None:
        cohort(book, sheet)
        book.add_worksheet("Empty")
        hidden = book.add_worksheet("Lists")
        hidden.write(0, 0, "I")
        hidden.hide()

    assert len(read_table(made(tmp_path, fill))) == 2


def two_tables(book: Any, sheet: Any) -> None:
    sheet.write_row(0, 0, ["id", "age"])
    book.add_worksheet("Lesions").write_row(0, 0, ["id", "site"])


def unsaved(book: Any, sheet: Any) -> None:
    sheet.write_row(0, 0, ["id", "age"])
    sheet.write_row(1, 0, ["a"])
    sheet.write_formula(1, 1, "=30+1", value="")


def empty(book: Any, sheet: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (two_tables, r"t\.xlsx: 2 sheets of the workbook hold something \('Patients', 'Lesions'\)"),
        (unsaved, "cell B2 is a formula whose value was never saved; open the workbook"),
        (empty, "no visible sheet of the workbook holds anything"),
    ],
)
def test_what_is_no_single_table_is_one_line(tmp_path: Path, fill: Fill, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        read_table(made(tmp_path, fill))
    assert "\n" not in str(error.value)


def test_bombs_and_damage_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path, cohort)
    damaged = tmp_path / "damaged.xlsx"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(damaged, "w") as copy:
        for member in whole.namelist():
            data = whole.read(member)
            copy.writestr(member, data[: len(data) // 2] if "sheet1" in member else data)
    with pytest.raises(DataError, match="not a readable Excel workbook"):
        read_table(damaged)
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(3_000_000))
    monkeypatch.setattr("featurestore.tables.reading.MAX_TABLE_BYTES", 200_000)
    with pytest.raises(DataError, match="parts of 3,000,000 bytes when unpacked"):
        read_table(bomb, max_bytes=200_000)


def test_a_cell_far_away_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def far(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["id", "age"])
        sheet.write(1000, 1000, "lost")

    monkeypatch.setattr(featurestore.tables.workbook, "MAX_CELLS", 10_000)
    with pytest.raises(DataError, match="more than 10,000 cells"):
        read_table(made(tmp_path, far))


CELLS = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=12).filter(
        lambda text: not text.startswith('"')
    ),
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_any_cells_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, Any]]
) -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["first_column", "second_column"])
        for place, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                write = sheet.write_string if isinstance(value, str) else sheet.write_number
                write(place, column, value)

    table = read_table(made(tmp_path_factory.mktemp("book"), fill))
    assert len(table) == len(rows)
    for name, column in zip(table.columns, zip(*rows, strict=True), strict=True):
        for got, value in zip(table[name], column, strict=True):
            if isinstance(value, str):
                assert got == value.strip()
            else:
                # XlsxWriter writes 16 digits
                assert float(got) == pytest.approx(value, rel=1e-15)
    assert isinstance(table, pd.DataFrame)
