"""Lesions as observations: whose each is, what is known of it, and what tables of patients add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.joining import join_sources
from featurestore.sources.lesions import LesionIds, lesion_ids, one_row_each
from featurestore.sources.table import TableSource
from featurestore.tables import Column

IDS = st.one_of(st.none(), st.sampled_from(["1", "2", "p", "q", "image 1", "lesion 1"]))
ROWS = "pid,lid,age,size,mel\nP1,1,50,2,1\nP1,2,,3,0\nP2,3,60,4,0\nP3,4,40,5,1\nP3,5,41,6,0\n"
LESIONS = {
    "kind": "table",
    "path": "lesions.csv",
    "id": "pid",
    "lesion_id": "lid",
    "labels": {"mel": "mel"},
    "columns": {
        "age": {"source": "age", "group": "demographic", "unit": "years"},
        "size": {"source": "size", "unit": "mm"},
    },
}
CLINICAL = {
    "kind": "table",
    "path": "clinical.csv",
    "id": "id",
    "columns": {"stage": {"source": "stage"}},
}


def texts(*values: str | None) -> pd.Series:
    return pd.Series(list(values), dtype="str")


def ids_of(rows: list[tuple[str | None, str | None]]) -> LesionIds:
    patient, lesion = texts(*(p for p, _ in rows)), texts(*(x for _, x in rows))
    image = texts(*(str(k) for k in range(len(rows))))
    return lesion_ids(image, patient, lesion, "images", "the file")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=12))
def test_a_lesion_has_one_key_and_one_owner_whatever_ids_are_called(
    rows: list[tuple[str | None, str | None]],
) -> None:
    owners: dict[str, set[str]] = {}
    for patient, lesion in rows:
        if patient is not None and lesion is not None:
            owners.setdefault(lesion, set()).add(patient)
    if any(len(own) > 1 for own in owners.values()):
        with pytest.raises(DataError, match="stand under several patients"):
            ids_of(rows)
        return
    found = ids_of(rows)
    table = pd.DataFrame({"key": found.keys, "person": found.persons})
    lesion = [x for _, x in rows]
    for a, one in enumerate(lesion):
        for b, other in enumerate(lesion):
            same = a == b or (one is not None and one == other)
            assert (table["key"][a] == table["key"][b]) == same
    assert (table.groupby("key")["person"].nunique() == 1).all()
    named = {p for p, _ in rows if p is not None}
    assert not set(table["key"]) & named  # an unknown owner is no patient of the file
    for (patient, x), person, key in zip(rows, table["person"], table["key"], strict=True):
        known = patient or next(iter(owners.get(x or "", ())), None)
        assert person == (known or key)


def test_a_lesion_of_two_patients_is_refused_with_both_names() -> None:
    with pytest.raises(DataError, match=r"1 lesion ids .*\(L: P, Q\)"):
        ids_of([("P", "L"), ("Q", "L")])


def test_what_is_not_known_is_said() -> None:
    notes = ids_of([("P", "1"), ("P", None), (None, "2")]).notes
    assert "1 of 3 images have no lesion id: each counts as one lesion." in notes
    assert any(
        note.startswith("The patient of 2 of 3 lesions is known: each other") for note in notes
    )


def test_columns_belong_to_the_level_where_they_were_measured() -> None:
    rows = pd.DataFrame(
        {
            "patient_id": ["a", "a", "b", "c"],
            "person_id": ["P", "P", "P", "Q"],
            "image_id": ["1", "2", "3", "4"],
            "_fileless": False,
            "size": [1.0, 9.0, np.nan, 3.0],
            "sex": ["female", np.nan, np.nan, "male"],
            "age": [50.0, 50.0, 52.0, np.nan],
        }
    )
    columns = [
        Column("size", "numeric", "lesion", level="lesion"),
        Column("sex", "nominal", "demographic", level="patient"),
        Column("age", "numeric", "demographic", unit="years", level="patient"),
    ]
    merged, reports = one_row_each(rows, columns, "lesion", "read")
    by_key = merged.set_index("patient_id")
    assert by_key["size"].fillna(-1).tolist() == [1, -1, 3]  # never that of another lesion
    assert by_key["sex"].tolist() == ["female", "female", "male"]
    assert by_key["age"].fillna(-1).tolist() == [50, 52, -1]
    said = {(i, reason) for _, i, _, reason in reports.itertuples(index=False)}
    assert len(said) == 2
    assert any(i == "a" and reason.startswith("size: 1 kept") for i, reason in said)
    assert ("P", "age: 50, 52 of several lesions of the patient; each keeps its own") in said


def read(folder: Path, record: dict[str, object], rows: str) -> SourceTables:
    (folder / str(record["path"])).write_text(rows)
    source = validate(TableSource, record, "config")
    return source.read(ReadContext(folder, folder, unit="lesion"))


def test_a_plain_table_has_a_row_a_lesion(tmp_path: Path) -> None:
    patients = read(tmp_path, LESIONS, ROWS).patients.set_index("patient_id")
    assert patients["person_id"].tolist() == ["P1", "P1", "P2", "P3", "P3"]
    assert patients["size"].tolist() == [2, 3, 4, 5, 6]
    assert patients["age"].tolist() == [50, 50, 60, 40, 41]


def test_a_lesion_with_two_rows_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lesion id in .*lesions\.csv"):
        read(tmp_path, LESIONS, ROWS + "P3,5,41,6,0\n")
    with pytest.raises(DataError, match="'lid' has no id in 1 row:"):
        read(tmp_path, LESIONS, ROWS + "P4,,41,6,0\n")
    pictures = {"image_id": "i", "pattern": "{image_id}.jpg"}
    with pytest.raises(ConfigError, match=r"images\.lesion_id"):
        validate(TableSource, LESIONS | {"images": pictures}, "config")


def test_what_is_known_of_a_patient_is_so_of_each_lesion(tmp_path: Path) -> None:
    rows = "id,stage\np1,2\nP3,1\nP9,4\n"
    tables = [read(tmp_path, LESIONS, ROWS), read(tmp_path, CLINICAL, rows)]
    joined = join_sources(tables, "patient")
    assert joined.persons == {"1": "P1", "2": "P1", "3": "P2", "4": "P3", "5": "P3"}
    stage = joined.patients.set_index("patient_id")["stage"]
    assert stage.fillna(-1).to_dict() == {"1": 2, "2": 2, "3": -1, "4": 1, "5": 1}
    assert [c.level for c in joined.dictionary] == ["patient", "lesion", "patient"]
    assert any("p1 and P1" in note or "P1 and p1" in note for note in joined.notes)
    (lost,) = joined.tables[1].exclusions.itertuples(index=False, name=None)
    assert lost == ("patient", "P9", "join", "no lesion of this patient is known")


def test_a_table_by_lesion_is_of_lesions(tmp_path: Path) -> None:
    tables = [read(tmp_path, LESIONS, ROWS), read(tmp_path, CLINICAL, "id,stage\n4,1\n2,3\n")]
    joined = join_sources(tables, "patient")
    stage = joined.patients.set_index("patient_id")["stage"]
    assert stage.fillna(-1).to_dict() == {"1": -1, "2": 3, "3": -1, "4": 1, "5": -1}
    assert joined.dictionary["stage"].level == "lesion"


def test_a_picture_of_a_patient_shows_the_only_lesion_or_nobody_knows_which(
    tmp_path: Path,
) -> None:
    keys = ["image_id", "patient_id", "lesion_id", "path", "source", "licence", "attribution"]
    shown = pd.DataFrame(
        [["a", "P1", *[""] * 5], ["b", "P2", *[""] * 5], ["c", "X", *[""] * 5]],
        columns=keys,
        dtype="str",
    )
    nobody = pd.DataFrame(columns=["patient_id"], dtype="str")
    lesions = read(tmp_path, LESIONS, ROWS)
    slides = SourceTables(shown, nobody, lesions.dictionary.__class__(()), lesions.exclusions[:0])
    joined = join_sources([lesions, slides], "patient")
    assert joined.images[["image_id", "patient_id"]].to_numpy().tolist() == [["b", "3"]]
    said = dict(joined.tables[1].exclusions[["id", "reason"]].itertuples(index=False, name=None))
    assert said == {
        "a": "which of 2 lesions of its patient it shows is not known",
        "c": "its patient has no lesion",
    }


def test_two_sources_that_name_two_owners_are_refused(tmp_path: Path) -> None:
    other = LESIONS | {"path": "other.csv", "labels": {}, "columns": {}}
    tables = [read(tmp_path, LESIONS, ROWS), read(tmp_path, other, "pid,lid\nP2,1\n")]
    with pytest.raises(DataError, match="different patients for 1 lesion "):
        join_sources(tables, "patient")
