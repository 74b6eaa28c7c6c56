"""What is particular to Excel workbooks; the rest is the conformance suite's."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from export_example import noted

import featurestore.export.excel
from featurestore.errors import StoreError
from featurestore.export.excel import ExcelExporter
from featurestore.export.labelling import labelled
from featurestore.export.write import write_table


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["0007", "=1+1", "SEPT9"],
            "breslow": [0.1, None, 0.1 + 0.2],
            "visit": pd.to_datetime(["2019-03-01", None, "1900-03-01"]),
        }
    )


def test_texts_stay_texts_and_dates_are_dates(tmp_path: Path) -> None:
    made, _ = labelled(noted(frame()))
    (change,) = write_table(made, ExcelExporter(), tmp_path / "t.xlsx")
    assert (change.variable, change.cells) == ("breslow", 1)
    assert change.change == "rounded to 16 significant digits"
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets[0]
    assert [c.data_type for c in sheet["A"]][1:] == ["s", "s", "s"]
    assert [c.value for c in sheet["A"]][1:] == ["0007", "=1+1", "SEPT9"]
    assert [c.value for c in sheet["B"]][1:] == [0.1, None, 0.3]
    assert sheet["C2"].is_date
    assert sheet["C2"].value.date().isoformat() == "2019-03-01"


def test_the_same_table_is_the_same_bytes(tmp_path: Path) -> None:
    made, _ = labelled(noted(frame()))
    for name in ("one", "two"):
        write_table(made, ExcelExporter(), tmp_path / f"{name}.xlsx")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()


def test_more_than_a_sheet_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featurestore.export.excel, "MAX_ROWS", 2)
    made, _ = labelled(noted(frame()))
    with pytest.raises(StoreError, match="3 rows and 3 columns; a sheet has 2 and 16,384"):
        write_table(made, ExcelExporter(), tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []
