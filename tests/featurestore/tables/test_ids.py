"""Ids in one spelling, whatever program wrote them."""

from __future__ import annotations

import pandas as pd
import pytest

from featurestore.tables.ids import ids_by_content, spelled_ids


@pytest.mark.parametrize(
    ("texts", "spelled"),
    [
        (["100.0", "101", "7."], ["100", "101", "7"]),
        (["1e+05", "2.5E4"], ["100000", "25000"]),
        (["0060.0", "0061"], ["0060", "0061"]),  # zeros in front are left to the join
        (["100.0", "P1"], ["100.0", "P1"]),  # not a column of numbers
        (["100.5", "101"], ["100.5", "101"]),
        (["tcga.d3.a1qa.06", "TCGA-D3-A1QB"], ["TCGA-D3-A1QA-06", "TCGA-D3-A1QB"]),
        (["Mu\u0308ller", "\u200bP1\ufeff"], ["Müller", "P1"]),
        ([None, "5.0"], [None, "5"]),
    ],
)
def test_spellings(texts: list[str | None], spelled: list[str | None]) -> None:
    found = spelled_ids(pd.Series(texts, dtype="str"))
    assert [None if pd.isna(t) else t for t in found] == spelled


def test_ids_by_content_depend_on_no_order() -> None:
    table = pd.DataFrame({"age": ["50", "61", "50"], "sex": ["f", "m", "f"]})
    ids = ids_by_content(table)
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}-2"  # equal rows are told apart
    turned = table.iloc[[1, 0, 2]][["sex", "age"]]
    assert ids_by_content(turned) == [ids[1], ids[0], ids[2]]
    assert ids_by_content(table.assign(age=["50", "62", "50"]))[1] != ids[1]
