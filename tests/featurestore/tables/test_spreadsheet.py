"""What came with the data is shown, not run."""

from __future__ import annotations

import io

import pandas as pd

from featurestore.tables.spreadsheet import csv_text, markdown_line


def test_formulas_get_an_apostrophe_and_numbers_do_not() -> None:
    table = pd.DataFrame(
        {"a": ["=cmd()", "-0.5", "@x", "ok", None], "n": [-1.5, 2.0, 3.0, 4.0, 5.0]}
    )
    read = pd.read_csv(io.StringIO(csv_text(table)), dtype="str")
    assert read["a"].tolist()[:4] == ["'=cmd()", "-0.5", "'@x", "ok"]
    assert read["n"].tolist() == ["-1.5", "2.0", "3.0", "4.0", "5.0"]


def test_markdown_has_no_markup_of_the_data() -> None:
    text = markdown_line("<script>alert(1)</script>\n[x](javascript:alert(1))")
    assert text == "&lt;script>alert(1)&lt;/script> [x]\\(javascript:alert(1))"
