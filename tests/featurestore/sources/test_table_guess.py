"""Guesses of a mapping: right where names and values say it, silent where they do not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.sources.table_guess import RowsGuess, guess_rows

PATH = Path("mine.csv")


def guess(**columns: list[str]) -> RowsGuess:
    return guess_rows(pd.DataFrame(columns, dtype="str"), PATH)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"x": ["1", "2", "3"], "Patient_ID": ["a", "b", "c"]}, "Patient_ID"),
        ({"Sample": ["a", "a", "b"], "case": ["c", "d", "e"]}, "case"),
        ({"n": ["1.5", "2.5"], "who": ["TCGA-AA-0001-06A", "TCGA-AA-0002-01A"]}, "who"),
        ({"size": ["1.5", "2.5"], "who": ["ann", "ben"]}, "who"),
    ],
)
def test_the_column_of_ids(columns: dict[str, list[str]], expected: str) -> None:
    assert guess(**columns).keys["id"] == expected


def test_long_barcodes_are_cut_to_the_patient() -> None:
    found = guess(sample=["TCGA-AA-0001-06A", "TCGA-AA-0002-01A"])
    assert found.keys["patient_id_length"] == 12
    assert "patient_id_length" not in guess(sample=["TCGA-AA-0001", "TCGA-AA-0002"]).keys


def test_no_column_of_ids_is_an_error() -> None:
    with pytest.raises(DataError, match=r"mine\.csv: no column can hold patient ids"):
        guess(a=["1", "1"], b=["", "x"])


@pytest.mark.parametrize(
    ("values", "positive", "checked"),
    [
        (["1", "0", "0"], "1", False),
        (["Yes", "No", "No"], "Yes", False),
        (["Metastatic", "Non-metastatic", "Metastatic"], "Metastatic", False),
        (["Benign", "Malignant", "Malignant"], "Malignant", False),
        (["Alive", "Dead", "Dead"], "Dead", False),
        (["A", "B", "B"], "A", True),
    ],
)
def test_the_positive_value(values: list[str], positive: str, checked: bool) -> None:
    label = guess(id=["a", "b", "c"], outcome=values).label
    assert label is not None
    assert label.positive == positive
    assert ("CHECK" in label.why) is checked


def test_a_label_never_takes_a_reserved_name() -> None:
    found = guess(id=["a", "b", "c"], outcome=["0", "1", "1"])
    assert found.keys["labels"] == {"outcome_label": "outcome"}
    assert not found.columns


def test_the_most_telling_name_is_the_label() -> None:
    values = ["0", "1", "1"]
    found = guess(id=["a", "b", "c"], diagnosis=values, event=values, Metastasis=values)
    assert found.label is not None
    assert found.label.column == "Metastasis"
    assert found.candidates == ("diagnosis", "event")


def test_columns_that_tell_the_outcome_are_withheld() -> None:
    event = ["0", "1"] * 50
    found = guess(
        id=[f"p{k}" for k in range(100)],
        metastasis=event,
        specimen=["skin" if e == "0" else "node" for e in event],
        hair=["fair", "dark", "red", "fair"] * 25,
        os_months=[str(k) for k in range(0, 200, 2)],
    )
    assert found.label is not None
    assert set(found.label.deny) == {"specimen", "os_months"}
    assert found.columns["os_months"]["measured"] == "follow_up"


def test_names_stay_unique() -> None:
    found = guess(**{"id": ["a", "b"], "Age (y)": ["1", "2"], "age y": ["3", "5"], "%": ["7", "9"]})
    assert list(found.columns) == ["age_y", "age_y_2", "column"]


def test_vocabulary_lends_group_unit_and_levels() -> None:
    ids = [f"p{k}" for k in range(4)]
    found = guess(id=ids, Breslow=["1,2", "0,8", "3", "NA"], Stage=["IA", "IIB", "IA", ""])
    assert found.columns["breslow"] == {
        "source": "Breslow",
        "kind": "numeric",
        "unit": "mm",
        "group": "histopathology",
    }
    assert found.columns["stage"]["kind"] == "ordinal"
    assert found.columns["stage"]["levels"][0] == "0"


def test_what_holds_nothing_is_skipped_with_a_reason() -> None:
    found = guess(
        id=[f"p{k}" for k in range(20)],
        row=[str(k) for k in range(20)],
        when=[f"2020-01-{k + 1:02d}" for k in range(20)],
        note=[f"text {k}" for k in range(20)],
        same=["x"] * 20,
        never=["NA"] * 20,
    )
    assert not found.columns
    assert found.skipped == {
        "row": "a running number",
        "when": "dates",
        "note": "text of 20 different values",
        "same": "the same value everywhere",
        "never": "never known",
    }


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lesion_id", "an id, by its name"),
        ("accession", "an id, by its name"),
        ("Slide Barcode", "an id, by its name"),
        ("scan", "an id, by its looks: a long number that is never twice"),
        ("spots", None),
    ],
)
def test_what_names_a_thing_is_no_number(name: str, why: str | None) -> None:
    short = [str(k % 7) for k in range(40)]
    long = [str(100_000 + 37 * k) for k in range(40)]
    ids = [f"p{k}" for k in range(40)]
    found = guess(**{"patient_id": ids, name: short if name == "spots" else long})
    assert found.skipped.get(name) == why
    assert bool(found.columns) is (why is None)


def test_file_names_are_no_hospitals() -> None:
    people = [f"P{k}" for k in range(8)]
    files = [f"NEL/NEL{k:03d}.jpg" for k in range(8)]
    assert "site" not in guess(id=people, clinic=files).keys
    assert "site" not in guess(id=people, clinic=[f"x{k}" for k in range(8)]).keys
    assert guess(id=people, clinic=["A", "B"] * 4).keys["site"] == "clinic"


def test_the_diagnosis_in_other_words_is_withheld() -> None:
    found = guess(
        id=[f"P{k}" for k in range(8)],
        malignant=["1", "0"] * 4,
        biopsed=["yes", "yes", "no", "no"] * 2,
        management=["a", "b", "c", "a"] * 2,
        seven_point_score=["1", "3", "2", "5"] * 2,
        diagnosis_age=["41", "53", "62", "75"] * 2,
        size=["1", "2", "3", "4"] * 2,
    )
    assert found.label is not None
    assert set(found.label.deny) == {"biopsed", "management", "seven_point_score"}
    assert "in other words" in found.label.deny["biopsed"]


def test_images_in_several_folders_are_searched(tmp_path: Path) -> None:
    table = pd.DataFrame({"image": ["a", "b"], "age": ["1", "2"]}, dtype="str")
    several = [tmp_path / "1" / "a.jpg", tmp_path / "2" / "b.png"]
    assert guess_rows(table, PATH, several, tmp_path).keys["images"] == {
        "image_id": "image",
        "folders": ["."],
    }
    packed = [Path(f"{tmp_path}/in/x.zip::a.jpg"), Path(f"{tmp_path}/in/x.zip::b.jpg")]
    assert guess_rows(table, PATH, packed, tmp_path).keys["images"] == {
        "image_id": "image",
        "folders": ["in"],
    }


def test_how_an_image_was_taken_is_no_predictor(tmp_path: Path) -> None:
    names = [f"i{k}" for k in range(6)]
    files = [tmp_path / f"{name}.jpg" for name in names]
    table = pd.DataFrame(
        {
            "patient_id": ["A", "A", "B", "B", "C", "C"],
            "image": names,
            "image_type": ["clinical", "dermoscopic"] * 3,
            "age": ["40", "40", "50", "50", "60", "60"],
        }
    )
    found = guess_rows(table, tmp_path / "t.csv", files, tmp_path)
    assert found.keys["images"]["role"] == "image_type"
    assert list(found.columns) == ["age"]
    alike = guess_rows(table.assign(image_type="clinical"), tmp_path / "t.csv", files, tmp_path)
    assert "role" not in alike.keys["images"]
