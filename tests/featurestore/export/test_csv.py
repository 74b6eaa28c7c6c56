"""CSV that spreadsheets neither run nor change."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from export_example import noted
from hypothesis import given
from hypothesis import strategies as st

from featurestore.export import EXPORTERS
from featurestore.export.csv import guarded, unguarded
from featurestore.export.labelling import labelled
from featurestore.export.write import write_table


def test_no_cell_starts_a_formula_or_becomes_a_date(tmp_path: Path) -> None:
    texts = ["=1+1", "-2", "@x", "+3", "plain", "SEPT9", "MARCH1", "1-Dec", "2310009E13", "'q"]
    made, _ = labelled(noted(pd.DataFrame({"gene": texts}, dtype="str")))
    path = tmp_path / "t.csv"
    changes = write_table(made, EXPORTERS["csv"], path)
    cells = path.read_text(encoding="utf-8").splitlines()[1:]
    assert cells == [t if t == "plain" else f"'{t}" for t in texts]
    assert [change.cells for change in changes] == [9]


@pytest.mark.parametrize(
    "text", ["decision", "DECR1", "octopus", "TP53", "BRAF", "marker", "1E", ""]
)
def test_common_texts_stay(text: str) -> None:
    assert guarded(text) == text


@given(st.text())
def test_the_guard_comes_off_again(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_numbers_are_not_guarded_and_missing_is_empty(tmp_path: Path) -> None:
    made, _ = labelled(noted(pd.DataFrame({"x": [-1.5, None], "n": [-1, 2]})))
    path = tmp_path / "t.csv"
    assert write_table(made, EXPORTERS["csv"], path) == []
    assert path.read_text(encoding="utf-8") == "x,n\n-1.5,-1\n,2\n"
