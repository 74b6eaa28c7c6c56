"""What names a person is gone, what joins and counts stays."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigError
from featurestore.export import ColumnNote, ExportTable
from featurestore.export.csv import CsvExporter
from featurestore.export.deidentify import STEPS, Deidentified, Key, deidentify
from featurestore.export.labelling import labelled
from featurestore.export.write import write_table
from featurestore.tables.dictionary import Column

KEY = Key(b"k" * 32)
PATIENTS = ["Ann Smith", "TCGA-01", "007"]


def tables() -> list[ExportTable]:
    people = pd.DataFrame(
        {
            "patient_id": PATIENTS,
            "age": [89.0, 89.5, 102.0],
            "stage": ["I", "II", None],
            "visit": ["2020-02-28", "2021-01-01", None],
        }
    )
    images = pd.DataFrame(
        {
            "image_id": ["IMG1", "IMG2", "IMG3"],
            "patient_id": [PATIENTS[0], PATIENTS[0], PATIENTS[1]],
            "sha256": ["aa", "bb", "cc"],
            "taken": pd.to_datetime(["2020-03-28", None, "2021-01-02"]),
            "age_approx": ["90", "45", None],
            "copy_of": ["IMG2", None, "free text"],
        }
    )
    left_out = pd.DataFrame(
        {
            "entity": ["image", "patient"],
            "id": ["IMG9", "P-9"],
            "reason": ["patient Ann Smith left out: '33 years' (see /home/x/IMG1.jpg)", "no image"],
        }
    )
    patient, image = ColumnNote("Patient", role="patient"), ColumnNote("Image", role="image")
    return [
        ExportTable(
            "analysis",
            people,
            {
                "age": Column("age", "numeric", "demographic", "Age", unit="years"),
                "stage": Column("stage", "ordinal", "staging", levels=("I", "II")),
            },
            {"patient_id": patient, "visit": ColumnNote("Visit")},
        ),
        ExportTable(
            "images",
            images,
            notes={
                "image_id": image,
                "patient_id": patient,
                "sha256": ColumnNote("Digest", role="digest"),
                **{c: ColumnNote(c) for c in ("taken", "age_approx", "copy_of")},
            },
        ),
        ExportTable(
            "exclusions",
            left_out,
            notes={
                "entity": ColumnNote("What"),
                "id": ColumnNote("Id", role="any_id"),
                "reason": ColumnNote("Why", role="text"),
            },
        ),
    ]


@pytest.fixture(scope="module")
def safe() -> Deidentified:
    return deidentify(tables(), KEY, STEPS)


def as_before(safe: Deidentified, place: int) -> pd.DataFrame:
    """A table in the order of the original, which only the key can find again."""
    frame = safe.tables[place].frame
    name, what, ids = {
        0: ("patient_id", "patient", PATIENTS),
        1: ("image_id", "image", ["IMG1", "IMG2", "IMG3"]),
        2: ("reason", "", []),
    }[place]
    if not what:
        return frame.sort_values("entity", ignore_index=True)
    pseudonyms = [KEY.pseudonym(what, i) for i in ids]
    return frame.set_index(name, drop=False).loc[pseudonyms].reset_index(drop=True)


def shuffled(made: list[ExportTable], seed: int) -> list[ExportTable]:
    """The same tables with their rows in another order."""
    return [dataclasses.replace(t, frame=t.frame.sample(frac=1, random_state=seed)) for t in made]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_rows_says_nothing_of_the_original_order(
    safe: Deidentified, seed: int
) -> None:
    other = deidentify(shuffled(tables(), seed), KEY, STEPS)
    for one, two in zip(safe.tables, other.tables, strict=True):
        pd.testing.assert_frame_equal(one.frame, two.frame)


def test_rows_stand_in_the_order_of_their_pseudonyms() -> None:
    """Of 200 patients the place in the file predicts the place of the original no more."""
    ids = [f"TCGA-{k:03d}" for k in range(200)]
    frame = pd.DataFrame({"patient_id": ids, "value": np.arange(200) % 3})
    note = ColumnNote("Patient", role="patient")
    table = ExportTable(
        "analysis",
        frame,
        notes={"patient_id": note, "value": ColumnNote("Value")},
        reasons={"value": (np.arange(200) % 5 == 0).astype(np.int8)},
    )
    (made,) = deidentify([table], KEY, STEPS).tables
    pseudonyms = [KEY.pseudonym("patient", i) for i in ids]
    assert made.frame["patient_id"].tolist() == sorted(pseudonyms)
    places = made.frame["patient_id"].map({p: k for k, p in enumerate(pseudonyms)})
    assert abs(np.corrcoef(places, np.arange(200))[0, 1]) < 0.25
    # what belongs to a row went with it
    np.testing.assert_array_equal(made.frame["value"], places % 3)
    np.testing.assert_array_equal(made.reasons["value"], places % 5 == 0)


def test_gaps_and_sizes_say_nothing() -> None:
    """Neighbouring ids are no neighbours, and a file is not known by its exact size."""
    frame = pd.DataFrame({"image_id": ["IMG1", "IMG2", "IMG9"], "file_bytes": [123456, 123999, 70]})
    notes = {
        "image_id": ColumnNote("Image", role="image"),
        "file_bytes": ColumnNote("Size", role="file_size"),
    }
    (made,) = deidentify([ExportTable("images", frame, notes=notes)], KEY, STEPS).tables
    assert sorted(made.frame["file_bytes"]) == [70, 120_000, 120_000]
    assert {len(i) for i in made.frame["image_id"]} == {17}


def test_no_id_is_left_anywhere(safe: Deidentified) -> None:
    text = " ".join(t.frame.to_csv() for t in safe.tables) + safe.report.to_csv()
    for telling in [*PATIENTS, "Ann", "Smith", "IMG", "P-9", "33 years", "/home"]:
        assert telling not in text, telling


def test_tables_still_join(safe: Deidentified) -> None:
    people, images, left_out = (as_before(safe, k) for k in range(3))
    assert images["patient_id"].tolist()[:2] == [people.loc[0, "patient_id"]] * 2
    assert people["patient_id"].is_unique
    assert images.loc[0, "copy_of"] == images.loc[1, "image_id"]
    assert left_out["id"].str[0].tolist() == ["I", "P"]
    assert people.loc[0, "patient_id"] in left_out.loc[0, "reason"]


def test_high_ages_are_top_coded_in_numbers_and_texts(safe: Deidentified) -> None:
    people, images, _ = (as_before(safe, k) for k in range(3))
    assert people["age"].tolist() == [89.0, 90.0, 90.0]
    assert images["age_approx"].tolist()[:2] == ["90", "45"]
    assert people["stage"].tolist()[:2] == ["I", "II"]


def test_dates_of_a_patient_move_together(safe: Deidentified) -> None:
    people, images = as_before(safe, 0), as_before(safe, 1)
    for row, before in ((0, 29), (1, 1)):  # 2020 is a leap year
        image = {0: 0, 1: 2}[row]
        assert (images.loc[image, "taken"] - people.loc[row, "visit"]).days == before
    assert pd.isna(images.loc[1, "taken"])
    moved = (people["visit"].iloc[:2] - pd.to_datetime(["2020-02-28", "2021-01-01"])).dt.days
    assert (moved != 0).all()
    assert moved.nunique() == 2


def test_the_report_says_what_was_done(safe: Deidentified) -> None:
    done = safe.report.set_index(["table", "column"])
    assert done.loc[("analysis", "patient_id"), "cells"] == 3
    assert done.loc[("analysis", "age"), "cells"] == 2
    assert "codes left" in done.loc[("analysis", "stage"), "done"]
    assert KEY.fingerprint in safe.report.loc[0, "done"]


def coded(values: list[str], ids: list[str], levels: tuple[str, ...]) -> Deidentified:
    people = pd.DataFrame({"patient_id": ids, "code": values, "site": values})
    table = ExportTable(
        "analysis",
        people,
        {"code": Column("code", "nominal", "demographic", levels=levels)},
        {"patient_id": ColumnNote("Patient", role="patient"), "site": ColumnNote("Site")},
    )
    return deidentify([table], KEY, STEPS)


def test_codes_that_happen_to_be_ids_are_codes(tmp_path: Path) -> None:
    ids = [str(k) for k in range(1, 121)]
    codes = [str(1 + k % 3) for k in range(120)]
    made = coded(codes, ids, ("1", "2", "3"))
    assert sorted(made.tables[0].frame["code"]) == sorted(codes)  # rows are in another order
    assert made.tables[0].frame["site"].tolist() == made.tables[0].frame["code"].tolist()
    assert not set(made.tables[0].frame["patient_id"]) & set(ids)
    done = made.report.set_index("column")["done"]
    assert done["code"] == "codes left as they are"
    write_table(labelled(made.tables[0])[0], CsvExporter(), tmp_path / "analysis.csv")


@pytest.mark.parametrize("ids", [[str(5000 + k) for k in range(40)], [f"L{k}" for k in range(6)]])
def test_a_coded_column_of_ids_is_one(ids: list[str], tmp_path: Path) -> None:
    made = coded(ids, ids, tuple(ids))
    (table,) = made.tables
    assert table.frame["code"].tolist() == table.frame["patient_id"].tolist()
    assert set(table.columns["code"].levels) == set(table.frame["patient_id"])
    write_table(labelled(table)[0], CsvExporter(), tmp_path / "analysis.csv")
    text = (tmp_path / "analysis.csv").read_text() + repr(table.columns)
    assert not any(f"{one!r}" in text for one in ids)


def test_steps_are_independent() -> None:
    only_ages = deidentify(tables(), KEY, ["ages"]).tables
    assert only_ages[0].frame["patient_id"].tolist() == PATIENTS
    assert only_ages[0].frame["age"].max() == 90
    assert only_ages[0].frame["visit"].iloc[0] == "2020-02-28"


@given(st.text(max_size=30))
def test_pseudonyms_and_shifts_depend_on_key_and_id_only(patient: str) -> None:
    other = Key(b"o" * 32)
    assert KEY.pseudonym("patient", patient) == Key(b"k" * 32).pseudonym("patient", patient)
    assert KEY.pseudonym("patient", patient) != other.pseudonym("patient", patient)
    assert KEY.pseudonym("patient", patient) != KEY.pseudonym("image", patient)
    assert re.fullmatch("P[0-9a-f]{16}", KEY.pseudonym("patient", patient))
    assert 1 <= abs(KEY.shift(patient)) <= 364


def test_shifts_use_the_whole_range_and_never_zero() -> None:
    shifts = {KEY.shift(str(i)) for i in range(20_000)}
    assert shifts == {*range(-364, 0), *range(1, 365)}


def test_a_missing_or_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--key FILE"):
        Key.read(None)
    with pytest.raises(ConfigError, match="No such file"):
        Key.read(tmp_path / "none")
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(ConfigError, match="has 3 bytes"):
        Key.read(tmp_path / "short")
    assert "kkk" not in repr(KEY)
