"""Canonical columns out of a table of text, and one specimen a patient."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.sources.canonical import read_canonical
from featurestore.sources.specimens import one_specimen

PATH = Path("clinical.tsv")
HEADERS = {"stage": ("Stage", "Stage (old)"), "breslow": ("Breslow",), "sex": ("Gender",)}


def _table(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


def test_preferred_header_counts_and_differences_are_reported() -> None:
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "STAGE (OLD)": ["Stage I", "Stage II", "Stage III"],
            "stage": ["Stage I", "[Not Available]", "Stage IV"],
            "Colour": ["x", "y", "z"],
        },
        dtype="str",
    )
    read = read_canonical(table, HEADERS, table["id"], PATH, used=["id"])
    assert read.values["stage"].tolist() == ["I", "II", "IV"]
    assert read.unmapped == ("Colour",)
    assert read.dictionary["stage"].source_column == "stage | STAGE (OLD)"
    assert read.dictionary["stage"].missing_tokens == ("[Not Available]",)
    assert read.exclusions.values.tolist() == [
        ["value", "c", "read", "stage: IV kept, STAGE (OLD) says III"]
    ]


def test_joined_records_count_once_if_they_agree() -> None:
    texts = ["Stage I|Stage I", "Stage II|[Not Available]", "Stage I|Stage II", "NA|NA", "Stage 0"]
    table = _table(id=list("abcde"), Stage=texts)
    read = read_canonical(table, HEADERS, table["id"], PATH)
    assert read.values["stage"].isna().tolist() == [False, False, True, True, False]
    assert read.values["stage"].dropna().tolist() == ["I", "II", "0"]
    assert read.exclusions["id"].tolist() == ["c"]


def _specimens() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": ["p2", "p1", "p1", "p3", "p3", "p1"],
            "sample_id": ["p2-06", "p1-06", "p1-01", "p3-07", "p3-06", "p1-11"],
            "sample_type": [6, 6, 1, 7, 6, 11],
        }
    )


@pytest.mark.parametrize(
    ("prefer", "kept"),
    [("primary", ["p2-06", "p1-01", "p3-06"]), ("metastatic", ["p2-06", "p1-06", "p3-06"])],
)
def test_one_specimen_a_patient_in_the_order_of_the_file(prefer: str, kept: list[str]) -> None:
    rows, excluded = one_specimen(_specimens(), prefer, PATH)  # type: ignore[arg-type]
    assert rows["sample_id"].tolist() == kept
    assert set(excluded["id"]) == set(_specimens()["sample_id"]) - set(kept)
    normal = excluded.set_index("id").loc["p1-11", "reason"]
    assert normal == "tissue normal, not a tumour specimen (clinical.tsv)"


def test_the_choice_does_not_depend_on_row_order() -> None:
    shuffled = _specimens().sample(frac=1, random_state=1)
    rows, excluded = one_specimen(shuffled, "primary", PATH)
    assert set(rows["sample_id"]) == {"p2-06", "p1-01", "p3-06"}
    assert len(excluded) == 3


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("breslow", ["thin", "thick", "thick", "thin", "x", "y"]),
        ("sex", ["1", "2", "1", "2", "1", "2"]),
        ("ulceration", ["maybe"] * 6),
        ("stage", ["localised"] * 6),
    ],
)
def test_a_column_that_is_not_understood_stops_nothing(name: str, texts: list[str]) -> None:
    table = pd.DataFrame({"h": texts, "AGE": ["50"] * 6}, dtype="str")
    ids = pd.Series([f"P{k}" for k in range(6)], dtype="str")
    read = read_canonical(table, {name: ("h",), "age": ("AGE",)}, ids, Path("c.txt"))
    assert read.dictionary.names == ["age"]
    assert read.unmapped == ("h",)
    (excluded,) = read.exclusions.to_dict("records")
    assert (excluded["entity"], excluded["id"]) == ("column", "h")
    assert "c.txt: column 'h'" in excluded["reason"]


def test_of_two_headers_the_one_that_is_understood_counts() -> None:
    table = pd.DataFrame({"A": ["old", "young"], "B": ["50", "60"]}, dtype="str")
    ids = pd.Series(["P1", "P2"], dtype="str")
    read = read_canonical(table, {"age": ("A", "B")}, ids, Path("c.txt"))
    assert read.values["age"].tolist() == [50, 60]
    assert read.dictionary["age"].source_column == "B"
