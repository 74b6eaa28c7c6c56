"""What every registered source must keep, whatever it reads."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from featurestore.cohort_config import CohortConfig
from featurestore.config import validate
from featurestore.exclusions import EXCLUSION_COLUMNS
from featurestore.sources import SOURCES
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, Source, SourceTables

# One example a source: a config, and files that it may need.
EXAMPLES: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "isic": (
        {"metadata": ["m.csv"], "images": ["img"]},
        {
            "m.csv": "isic_id,patient_id,lesion_id,age_approx,sex,benign_malignant,attribution\n"
            "I1,IP_1,IL_1,50,male,benign,A\nI2,IP_1,IL_2,unknown,female,malignant,A\n"
            "I3,,,45,,benign,\nI4,,,45,male,benign,\n"
        },
    ),
    "table": (
        {
            "path": "t.csv",
            "id": "id",
            "site": "hospital",
            "columns": {
                "age": {"source": "age"},
                "sex": {"source": "sex", "kind": "nominal"},
                "ulceration": {"source": "u", "kind": "binary"},
                "stage": {"source": "st", "kind": "ordinal", "levels": ["I", "II"]},
            },
            "labels": {"melanoma": "mm"},
            "images": {"image_id": "img", "pattern": "{image_id}.png", "folder": "img"},
        },
        {
            "t.csv": "img,id,hospital,age,sex,u,st,mm\n"
            "I1,P1,A,50,m,yes,I,1\nI2,P1,A,51,m,yes,II,0\n"
            "I3,P2,,x,f,NA,NA,0\nI4,P3,B,70,,no,I,0\n"
        },
    ),
    "synthetic": ({"patients": 40, "image_pixels": [64, 80], "genes": 24}, {}),
}


@pytest.fixture(params=list(SOURCES), scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(kind)
    for name, content in EXAMPLES[kind][1].items():
        (path / name).write_text(content, encoding="utf-8")
    (path / "img").mkdir()
    for image in ("I1", "I2", "I3", "stranger"):
        Image.new("RGB", (8, 8)).save(path / "img" / f"{image}.png")
    return path


@pytest.fixture(scope="module")
def tables(kind: str, folder: Path) -> SourceTables:
    return source_of(kind).read(ReadContext(folder, folder / "scratch"))


def source_of(kind: str) -> Source:
    record = {"sources": [{"kind": kind, **EXAMPLES[kind][0]}], "outcome": "melanoma"}
    return validate(CohortConfig, record, "config").sources[0]


def test_every_source_has_an_example() -> None:
    assert EXAMPLES.keys() == SOURCES.keys()


def test_the_config_names_the_registered_class(kind: str) -> None:
    assert type(source_of(kind)) is SOURCES[kind]
    assert source_of(kind).kind == kind


def test_image_columns(tables: SourceTables) -> None:
    images = tables.images
    assert list(images.columns[: len(SOURCE_IMAGE_COLUMNS)]) == list(SOURCE_IMAGE_COLUMNS)
    for column in SOURCE_IMAGE_COLUMNS:
        assert images[column].dtype == "str", column
        assert images[column].notna().all() or column == "lesion_id", column
    assert images["image_id"].is_unique
    assert len(images) > 0
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in images["path"])


def test_patients_and_their_dictionary(tables: SourceTables) -> None:
    patients = tables.patients
    assert patients["patient_id"].dtype == "str"
    assert patients["patient_id"].is_unique
    assert patients["patient_id"].notna().all()
    assert len(tables.dictionary) > 0
    for column in tables.dictionary:
        values = patients[column.name]
        if column.kind in ("numeric", "expression", "binary"):
            assert values.dtype == "float64", column.name
        else:
            assert values.dtype == "str", column.name
            assert set(values.dropna()) <= set(column.levels), column.name
        if column.kind == "binary":
            assert set(values.dropna()) <= {0.0, 1.0}, column.name
        assert column.label, column.name
        assert column.source_column, column.name


def test_exclusions(tables: SourceTables) -> None:
    exclusions = tables.exclusions
    assert tuple(exclusions.columns) == EXCLUSION_COLUMNS
    assert set(exclusions["entity"]) <= {"image", "patient", "value"}
    assert exclusions["reason"].str.len().gt(0).all()
    assert len(exclusions) > 0  # every example has something to leave out
    left_out = set(exclusions.loc[exclusions["entity"] == "image", "id"])
    assert not left_out & set(tables.images["image_id"])


def test_facts_and_notes(tables: SourceTables, kind: str) -> None:
    assert tables.synthetic == (kind == "synthetic")
    assert all(note == note.strip() and note for note in tables.notes)
    assert all(isinstance(value, float) for value in tables.facts.values())


def test_reading_twice_gives_the_same(kind: str, folder: Path, tables: SourceTables) -> None:
    same(source_of(kind).read(ReadContext(folder, folder / "scratch")), tables)


def test_row_and_column_order_mean_nothing(
    kind: str, tables: SourceTables, folder: Path, tmp_path: Path
) -> None:
    files = EXAMPLES[kind][1]
    if not files:
        pytest.skip("the source writes its files itself")
    for name in files:
        rows = list(csv.reader((folder / name).read_text().splitlines()))
        turned = [[*row[2:], *row[:2]] for row in [rows[0], *rows[:0:-1]]]
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(turned)
    (tmp_path / "img").symlink_to(folder / "img")
    same(source_of(kind).read(ReadContext(tmp_path, tmp_path / "scratch")), tables)


def same(first: SourceTables, second: SourceTables) -> None:
    assert first.dictionary == second.dictionary
    for name, key in (("images", "image_id"), ("patients", "patient_id")):
        pair = [
            getattr(t, name).sort_values(key, ignore_index=True).sort_index(axis=1)
            for t in (first, second)
        ]
        pd.testing.assert_frame_equal(*pair)
    reports = [
        sorted(map(tuple, t.exclusions[["entity", "id", "stage"]].to_numpy().tolist()))
        for t in (first, second)
    ]
    assert reports[0] == reports[1]
