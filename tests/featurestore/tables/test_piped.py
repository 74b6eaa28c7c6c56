"""Cells between pipes are the cells that they would be between tabs."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurestore.errors import DataError
from featurestore.tables import read_head, read_table

ROWS = (
    "|| Name ||  Told  ||  A | Some  criterion || Colours ||",
    "|| I1   ||        ||  0 |              AT ||  3  4   ||",
    "|| I2   ||  yes   ||    |               T ||         ||",
)
LEGEND = ("", "Legends:", "  A: 0 - none | 1 - some", "| the | end |")


def write(folder: Path, lines: tuple[str, ...], end: str = "\n") -> Path:
    (folder / "t.txt").write_text(end.join(lines), encoding="utf-8", newline="")
    return folder / "t.txt"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_and_a_legend(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, (*ROWS, *LEGEND), end)
    table = read_table(path)
    assert list(table.columns) == ["Name", "Told", "A", "Some criterion", "Colours"]
    assert table.to_numpy().tolist() == [["I1", "", "0", "AT", "3 4"], ["I2", "yes", "", "T", ""]]
    head = read_head(path)
    assert head.header == tuple(table.columns)
    assert [list(row) for row in head.rows] == table.to_numpy().tolist()


def test_markdown(tmp_path: Path) -> None:
    path = write(tmp_path, ("| id | size |", "|:---|-----:|", "| L1 | 3 |", "| L2 | |"))
    assert read_table(path).to_numpy().tolist() == [["L1", "3"], ["L2", ""]]


def test_a_row_below_the_legend_is_not_lost_in_silence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.txt: line 8 is a row below lines without pipes"):
        read_table(write(tmp_path, (*ROWS, *LEGEND, ROWS[1])))
