"""Why a value is missing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.sources.base import ReadContext
from featurestore.sources.table import TableSource
from featurestore.tables.gaps import CODES, LABELS, find_gaps, joined_gaps, reason_codes, reason_of


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Not Applicable]", "not_applicable"),
        ("[Not Evaluated]", "not_evaluated"),
        ("not assessed", "not_evaluated"),
        ("[Unknown]", "unknown"),
        ("[Discrepancy]", "pending"),
        ("[Not Available]", "not_available"),
        ("not reported", "not_available"),
        ("'--", "not_available"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_texts_and_their_reasons(text: str, reason: str) -> None:
    assert reason_of(text) == reason


def test_codes_keep_their_places() -> None:
    assert CODES["not_applicable"] == 1
    assert CODES["not_evaluated"] == 2
    assert CODES["not_available"] == 8
    assert LABELS[2] == "not evaluated"


def test_gaps_of_a_column() -> None:
    texts = pd.Series(["1", "[Not Evaluated]", "", None, "x"], dtype="str")
    known = pd.Series(["1", None, None, None, "x"], dtype="str")
    ids = pd.Series(list("abcde"), dtype="str")
    found = find_gaps("breslow", texts, known, pd.Index([4]), ids)
    assert found.to_numpy().tolist() == [
        ["b", "breslow", "not_evaluated"],
        ["e", "breslow", "unreadable"],
    ]
    assert reason_codes(found, ids)["breslow"].tolist() == [0, 2, 0, 0, 5]


def test_of_two_reasons_the_first_by_code_counts() -> None:
    rows = [("a", "x", "not_available"), ("a", "x", "not_applicable")]
    found = joined_gaps([pd.DataFrame(rows, columns=["patient_id", "column", "reason"])])
    assert found["reason"].tolist() == ["not_applicable"]


def test_a_table_source_keeps_its_reasons(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id,b,s\np1,1.5,I\np2,[Not Evaluated],ND\np3,,II\np4,2,not done\n", encoding="utf-8"
    )
    source = TableSource.model_validate(
        {
            "path": "t.csv",
            "id": "id",
            "columns": {
                "breslow": {"source": "b"},
                "stage": {
                    "source": "s",
                    "kind": "ordinal",
                    "levels": ["I", "II"],
                    "missing": ["ND", "not done"],
                },
            },
        }
    )
    gaps = source.read(ReadContext(tmp_path, tmp_path)).gaps
    assert gaps.to_numpy().tolist() == [
        ["p2", "breslow", "not_evaluated"],
        ["p2", "stage", "not_available"],
        ["p4", "stage", "not_evaluated"],
    ]
