"""Where the header is: below titles, one name short, or not there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.tables.headers import looks_like_a_row
from featurestore.tables.reading import read_head, read_table

ROWS = [f"P{k:03d},{30 + k},{k % 2}" for k in range(6)]
HEADER = "patient_id,age,melanoma"


def read(tmp_path: Path, *lines: str, delimiter: str = ",") -> pd.DataFrame:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines).replace(",", delimiter) + "\n")
    table = read_table(path)
    head = read_head(path)
    assert [c for c in head.header if c] == [c for c in table if not c.startswith("unnamed")]
    assert read_table(path, len(head.comments)).equals(table)
    return table


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "titles",
    [
        ["Melanoma cohort 2024,,"],
        ["Melanoma cohort 2024"],
        ["Melanoma cohort 2024,,", ",,", "Department of Dermatology,,"],
        ["Patient,,"],
    ],
)
def test_titles_are_no_header(tmp_path: Path, titles: list[str], delimiter: str) -> None:
    table = read(tmp_path, *titles, HEADER, *ROWS, delimiter=delimiter)
    assert list(table.columns) == HEADER.split(",")
    assert len(table) == len(ROWS)


def test_a_row_of_groups_above_the_header_is_a_title(tmp_path: Path) -> None:
    lines = ["Patient,,Tumour,", "id,age,breslow,ulcerated"]
    table = read(tmp_path, *lines, *(f"P{k},{30 + k},{k}.5,{k % 2}" for k in range(5)))
    assert list(table.columns) == ["id", "age", "breslow", "ulcerated"]


def test_a_header_with_one_name_or_gaps_stays(tmp_path: Path) -> None:
    assert list(read(tmp_path, "id,", "a,1", "b,2").columns) == ["id", "unnamed_2"]
    assert list(read_table(_write(tmp_path, ",x", "a,1", "b,2")).columns) == ["unnamed_1", "x"]


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_the_row_names_of_r(tmp_path: Path, delimiter: str) -> None:
    table = read(tmp_path, "age,melanoma", *ROWS, delimiter=delimiter)
    assert list(table.columns) == ["row_names", "age", "melanoma"]
    assert table["row_names"].tolist()[:2] == ["P000", "P001"]
    assert table["age"].tolist()[:2] == ["30", "31"]


def test_row_names_beside_one_column(tmp_path: Path) -> None:
    path = _write(tmp_path, "age", *(f"P{k:03d}\t{30 + k}" for k in range(5)))
    assert list(read_table(path).columns) == ["row_names", "age"]


def test_rows_without_text_are_no_rows(tmp_path: Path) -> None:
    table = read(tmp_path, HEADER, ROWS[0], ",,", *ROWS[1:], ",,", ",,")
    assert table["patient_id"].tolist() == [row.split(",")[0] for row in ROWS]


@pytest.mark.parametrize(
    "lines",
    [
        ROWS,
        [f"ISIC_{k:07d},{('benign', 'malignant')[k % 2]}" for k in range(8)],
        [f"{k},{k / 3:.2f},{k % 2}" for k in range(8)],
        [f"TCGA-D3-A{k:03d},{20 + k},seen by Dr. {k}" for k in range(8)],
    ],
)
def test_a_file_without_a_header_is_a_question(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(DataError, match=r"has no header: its first line \('.*put a line with"):
        read_table(_write(tmp_path, *lines))
    given = read_table(tmp_path / "t.csv", header=[f"c{k}" for k in range(lines[0].count(",") + 1)])
    assert len(given) == len(lines)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["patient", "2019", "2020"], ["P{k}", "{k}", "1{k}"]),  # years above counts
        (["gene", "1001", "1002"], ["G{k}X", "0.{k}", "2.{k}"]),  # samples are numbers
        (["id", "T1", "N1"], ["A{k}", "0", "1"]),  # one-hot levels
        (["", "S1", "S2"], ["TP5{k}", "0.{k}", "1.{k}"]),
        (["q1", "q2"], ["{k}", "{k}"]),
    ],
)
def test_headers_with_digits_are_headers(header: list[str], row: list[str]) -> None:
    rows = [[cell.format(k=k) for cell in row] for k in range(9)]
    assert not looks_like_a_row(header, rows)


def _write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
