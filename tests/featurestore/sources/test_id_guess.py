"""The column of ids that joins is preferred to the one that is called like it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.sources.id_guess import guess_id, join_key, joining_columns

N = 12
RUNNING = [str(k + 1) for k in range(N)]
STUDY = [f"S{k:03d}" for k in range(N)]
TWICE = [f"M{k // 2}" for k in range(N)]
IMAGES = [f"img{k}" for k in range(N)]


def known(**columns: list[str]) -> dict[str, pd.Series]:
    return {name: pd.Series(values, dtype="str") for name, values in columns.items()}


def keys(ids: list[str]) -> set[str]:
    return {join_key(text) for text in ids}


@pytest.mark.parametrize(
    ("columns", "others", "column"),
    [
        ({"patient_id": RUNNING, "study_no": STUDY}, [STUDY[3:]], "study_no"),
        ({"patient_id": RUNNING, "study_no": STUDY}, [STUDY, RUNNING], "study_no"),  # anyone counts
        ({"patient_id": STUDY, "mrn": [f"9{k:06d}" for k in range(N)]}, [STUDY], "patient_id"),
        ({"patient_id": STUDY, "hospital_id": TWICE}, [TWICE], "hospital_id"),
        ({"patient_id": TWICE, "sample_id": STUDY}, [STUDY], "patient_id"),  # finer: other people
        ({"patient_id": STUDY, "id": RUNNING}, [["zz"]], "patient_id"),
        ({"id": RUNNING, "case": STUDY}, [], "case"),
    ],
)
def test_which_of_two(columns: dict[str, list[str]], others: list[list[str]], column: str) -> None:
    found = guess_id(known(**columns), Path("t.csv"), None, [keys(ids) for ids in others])
    assert found.column == column
    assert repr(column) in found.why


def test_an_image_id_never_becomes_a_patient_because_it_joins() -> None:
    columns = known(image_id=IMAGES, patient_id=TWICE)
    found = guess_id(columns, Path("t.csv"), "image_id", [keys(IMAGES)])
    assert found.column == "patient_id"


def test_keys_ignore_spelling_and_specimens() -> None:
    assert join_key("0060") == join_key("60")
    assert join_key("TCGA.D3.A1QA.06A") == join_key("tcga-d3-a1qa")
    assert joining_columns(known(size=["1.5", "2.5"], id=["1.0", "2.0"])) == {"id": {"1", "2"}}
