"""Every collection keeps what a collection must keep, and says what it does not know."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from collections_example import COLLECTION_TREES
from tree_files_example import noise, write, write_csv

from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.collection import CollectionSource
from featurestore.sources.collections import COLLECTIONS
from featurestore.sources.collections.base import matches
from featurestore.sources.recognition import guess_format


def read(folder: Path, name: str, tables: list[str], images: list[str]) -> SourceTables:
    record = {"kind": "collection", "name": name, "tables": tables, "images": images}
    source = validate(CollectionSource, record, "config")
    return source.read(ReadContext(folder, folder / "scratch"))


def test_every_collection_has_a_tree() -> None:
    assert COLLECTION_TREES.keys() == COLLECTIONS.keys()


@pytest.mark.parametrize("name", COLLECTIONS)
def test_no_predictor_is_withheld_or_ignored(name: str) -> None:
    collection = COLLECTIONS[name]
    patterns = (*collection.withheld, *collection.ignored)
    plain = [c.source_column for c in collection.columns if "*" not in c.source_column]
    assert not [header for header in plain if matches(header, patterns)]
    names = [c.name for c in collection.columns]
    assert len(set(names)) == len(names)
    for table in collection.tables:
        assert all(column == column.casefold() for column in table.columns)
    for melanoma, malignant in collection.labels.values():
        assert not (melanoma == 1 and malignant == 0)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_its_files_are_recognised_as_its_own(name: str, tmp_path: Path) -> None:
    for table in COLLECTIONS[name].tables:
        columns = sorted(table.columns)
        write_csv(tmp_path / "t.csv", ",".join(columns), [[f"a{k}" for k in columns]] * 2)
        guess = guess_format(tmp_path / "t.csv")
        assert guess is not None
        assert (guess.kind, guess.role, guess.collection) == ("collection", "tables", name)


def pad(folder: Path, rows: list[list[object]]) -> None:
    header = "img_id,patient_id,lesion_id,diagnostic,biopsed,age,gender,itch,fitspatrick,surprise"
    write_csv(folder / "metadata.csv", header, rows)
    for k, row in enumerate(rows):
        write(folder / "imgs_part_1" / str(row[0]), noise(k, "PNG"))


PH2_WORKBOOK = [
    *("Image Name", "Histological Diagnosis", "Common Nevus", "Atypical Nevus", "Melanoma"),
    *("Asymmetry\n(0/1/2)", "Pigment Network\n(AT/T)", "Dots/Globules\n(A/AT/T)"),
    *("Streaks\n(A/P)", "Regression Areas\n(A/P)", "Blue-Whitish Veil\n(A/P)"),
    *("White", "Red", "Light-Brown", "Dark-Brown", "Blue-Gray", "Black"),
]


def workbook() -> Any:
    sheet = openpyxl.Workbook().active
    assert sheet is not None
    return sheet


ROWS: list[list[object]] = [
    ["a.png", "P1", 1, "MEL", "True", 50, "MALE", "True", 2.0, "x"],
    ["b.png", "P1", 2, "NEV", "False", 51, "MALE", "UNK", 2.0, "y"],
    ["c.png", "P2", 3, "ODD", "True", 44, "FEMALE", "False", "", "x"],
]


def test_strange_diagnoses_and_columns_are_said(tmp_path: Path) -> None:
    pad(tmp_path, ROWS)
    tables = read(tmp_path, "pad-ufes-20", ["metadata.csv"], ["."])
    images = tables.images.set_index("image_id")
    assert pd.isna(images.loc["c.png", "melanoma"])
    assert tables.unmapped == ("PAD-UFES-20 metadata: surprise",)
    assert "surprise" not in tables.dictionary
    reasons = tables.exclusions.set_index("id")["reason"]
    assert reasons["c.png"] == "diagnosis: 'odd' is none of PAD-UFES-20; unknown"
    assert reasons["biopsed"] == "tells the diagnosis; no model sees it"
    assert "age: 50 kept" in reasons["P1"]
    assert any("1 of 2 patients have several lesions" in note for note in tables.notes)
    patients = tables.patients.set_index("patient_id")
    assert patients.loc["P1", ["age", "sex", "itch", "fitzpatrick"]].tolist() == [
        *(50.0, "male", 1.0, "II")
    ]


def test_archives_of_parts_and_the_tables_of_another_collection(tmp_path: Path) -> None:
    pad(tmp_path, ROWS)
    whole = read(tmp_path, "pad-ufes-20", ["metadata.csv"], ["imgs_part_1"])
    for part in (1, 2):
        with zipfile.ZipFile(tmp_path / f"imgs_part_{part}.zip", "w") as archive:
            for row in ROWS[part - 1 :: 2]:
                archive.write(tmp_path / "imgs_part_1" / str(row[0]), f"in/{row[0]}")
    packed = read(tmp_path, "pad-ufes-20", ["metadata.csv"], ["imgs_part_1.zip", "imgs_part_2.zip"])
    assert packed.images["path"].str.contains("::in/").all()
    same = ["image_id", "patient_id", "lesion_id", "melanoma", "malignant"]
    pd.testing.assert_frame_equal(packed.images[same], whole.images[same])
    with pytest.raises(DataError, match=r"metadata\.csv is no table of Derm7pt"):
        read(tmp_path, "derm7pt", ["metadata.csv"], ["."])


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    pad(tmp_path, ROWS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of the 3 images of PAD-UFES-20 has a file"):
        read(tmp_path, "pad-ufes-20", ["metadata.csv"], ["empty"])
    pad(tmp_path, [*ROWS, [*ROWS[0][:-1], "z"]])
    with pytest.raises(DataError, match=r"duplicate image id .*: a\.png"):
        read(tmp_path, "pad-ufes-20", ["metadata.csv"], ["."])
    with pytest.raises(ConfigError, match="unknown collection 'isic-1999'; known: bcn20000"):
        read(tmp_path, "isic-1999", ["metadata.csv"], ["."])
    write_csv(tmp_path / "s.csv", "isic_id,diagnosis_full,invasion_thickness_interval", [])
    with pytest.raises(DataError):
        read(tmp_path, "milk10k", ["s.csv"], ["."])


def test_rows_that_stand_twice_count_once_and_capitals_are_the_same(tmp_path: Path) -> None:
    pad(tmp_path, ROWS)
    whole = read(tmp_path, "pad-ufes-20", ["metadata.csv"], ["."])
    text = (tmp_path / "metadata.csv").read_text(encoding="utf-8")
    header, _, rows = text.partition("\n")
    (tmp_path / "metadata.csv").write_text(f"{header.upper()}\n{rows}", encoding="utf-8")
    (tmp_path / "metadata.csv.gz").write_bytes(gzip.compress(text.encode()))
    guess = guess_format(tmp_path / "metadata.csv")
    assert guess is not None
    assert guess.collection == "pad-ufes-20"
    twice = read(tmp_path, "pad-ufes-20", ["metadata.csv", "metadata.csv.gz"], ["."])
    pd.testing.assert_frame_equal(twice.images, whole.images)
    assert "PAD-UFES-20 metadata: 3 rows repeated word for word, counted once." in twice.notes


def test_ph2_by_its_text_and_by_its_workbook(tmp_path: Path) -> None:
    COLLECTION_TREES["ph2"](tmp_path)
    text = read(tmp_path, "ph2", ["PH2_dataset.txt"], ["."])
    rows = [
        [cell.strip() for cell in line.replace("||", "|").strip("|").split("|")]
        for line in (tmp_path / "PH2_dataset.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("|| IMD")
    ]
    sheet = workbook()
    legend: list[list[object]] = [["PH2"], [None, None, "Legends"], [None, "T", "Typical"]]
    for row in [*legend * 4, [None, None, "Clinical Diagnosis", *[None] * 8, "Colors"]]:
        sheet.append(row)
    sheet.append(PH2_WORKBOOK)
    for name, told, kind, *criteria, colours in rows:
        crosses = ["X" if str(k) == kind else None for k in range(3)]
        seen = ["X" if str(k) in colours.split() else None for k in range(1, 7)]
        sheet.append([name, told or None, *crosses, int(criteria[0]), *criteria[1:], *seen])
    sheet.parent.save(tmp_path / "PH2_dataset.xlsx")
    crossed = read(tmp_path, "ph2", ["PH2_dataset.xlsx"], ["."])
    pd.testing.assert_frame_equal(crossed.images, text.images)
    pd.testing.assert_frame_equal(crossed.patients, text.patients)
    assert crossed.unmapped == text.unmapped == ()
    both = read(tmp_path, "ph2", ["PH2_dataset.xlsx", "PH2_dataset.txt"], ["."])
    pd.testing.assert_frame_equal(both.patients, text.patients)
    first = text.patients.set_index("patient_id").loc["IMD003"]
    assert first[["asymmetry", "pigment_network", "streaks"]].tolist() == [
        *("in one axis", "atypical", "present")
    ]
    colours = [name for name in text.dictionary.names if name.startswith("colour")]
    assert dict(first[colours][first[colours] == 1]) == {
        "colour_light_brown": 1.0,
        "colour_dark_brown": 1.0,
    }


def test_isic_2024_with_its_label_in_a_file_of_its_own(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "meta.csv",
        "isic_id,patient_id,tbp_tile_type,tbp_lv_A,age_approx",
        [[f"ISIC_{k}", f"IP_{k}", "3D: white", k, 40 + k] for k in range(3)],
    )
    write_csv(tmp_path / "truth.csv", "isic_id,malignant", [[f"ISIC_{k}", k % 2] for k in range(3)])
    for k in range(3):
        write(tmp_path / "img" / f"ISIC_{k}.jpg", noise(k))
    tables = read(tmp_path, "isic-2024", ["meta.csv", "truth.csv"], ["img"])
    assert tables.images["malignant"].tolist() == [0, 1, 0]
    assert tables.images["melanoma"].fillna(-1).tolist() == [0, -1, 0]  # which cancer is not said
    assert tables.dictionary.names == ["age", "tbp_tile_type", "tbp_lv_a"]
    without = read(tmp_path, "isic-2024", ["meta.csv"], ["img"])
    assert without.images["malignant"].isna().all()
