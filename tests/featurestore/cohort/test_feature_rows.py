"""Features from elsewhere find their image or patient by id, or are named among the exclusions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.cohort import CohortConfig, FeatureRows, build_cohort, patient_groups
from featurestore.cohort.feature_rows import place_features
from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.errors import DataError
from featurestore.sources import ReadContext

TABLE = "id,age,event\nTCGA-ER-A2N0,50,0\nTCGA-ER-A2N1,60,1\nTCGA-ER-A2N2,70,0\nP4,80,1\n"
KEYS = {k: f"{k:064x}" for k in range(9)}


def config(**more: object) -> CohortConfig:
    source = {
        "kind": "table",
        "path": "t.csv",
        "id": "id",
        "columns": {"age": {"source": "age", "kind": "numeric", "measured": "diagnosis"}},
        "labels": {"event": "event"},
    }
    outcome = {"name": "event", "column": "event", "as_of_time": "diagnosis"}
    return validate(CohortConfig, {"sources": [source], "outcome": outcome, **more}, "test")


def cohort(folder: Path, *features: FeatureRows, **more: object) -> Cohort:
    (folder / "t.csv").write_text(TABLE)
    return build_cohort(config(**more), "c", ReadContext(folder, folder), features=features)


def rows(keys: dict[str, str], name: str = "uni", **more: object) -> FeatureRows:
    return FeatureRows(name, keys, **{"patients": {}, **more})  # type: ignore[arg-type]


def test_slides_are_images_without_a_picture(tmp_path: Path) -> None:
    names = {"TCGA-ER-A2N0-01Z-00-DX1": KEYS[0], "tcga.er.a2n0-01Z-00-DX2": KEYS[1], "s3": KEYS[2]}
    found = cohort(tmp_path, rows(names, patients={"s3": "TCGA-ER-A2N1-06A"}, licence="CC0"))
    images = found.images.set_index("image_id")
    assert images["patient_id"].to_dict() == {
        "TCGA-ER-A2N0-01Z-00-DX1": "TCGA-ER-A2N0",
        "tcga.er.a2n0-01Z-00-DX2": "TCGA-ER-A2N0",
        "s3": "TCGA-ER-A2N1",
    }
    assert set(images["path"]) == {""}
    assert images["sha256"].to_dict() == names
    assert images[["width", "height"]].to_numpy().sum() == 0
    assert set(images["licence"]) == {"CC0"}
    assert found.pictures.empty
    assert found.features == {"uni": names}
    assert found.notes[-1] == (
        "Embeddings uni came from elsewhere: 3 images or slides of 2 of 4 patients are studied "
        "(patients by number of images: 1 of 1, 1 of 2)."
    )


def test_an_id_of_a_patient_is_the_patients_slide(tmp_path: Path) -> None:
    found = cohort(tmp_path, rows({"P4": KEYS[0], "TCGA-ER-A2N2": KEYS[1]}), require_images=True)
    assert list(found.patients["patient_id"]) == ["P4", "TCGA-ER-A2N2"]
    left = found.exclusions[found.exclusions["reason"] == "no image"]
    assert list(left["id"]) == ["TCGA-ER-A2N0", "TCGA-ER-A2N1"]


def test_ids_of_nobody_are_named(tmp_path: Path) -> None:
    found = cohort(tmp_path, rows({"P4": KEYS[0], "who": KEYS[1]}, refused={"bad": "its reason"}))
    left = found.exclusions.set_index("id")
    assert left.loc["who", "reason"] == "uni: no patient is known of it"
    assert left.loc["bad", ["stage", "reason"]].tolist() == ["import", "uni: its reason"]
    with pytest.raises(DataError, match=r"uni: no id of 2 \(other, who\) is an image or a pat"):
        cohort(tmp_path, rows({"who": KEYS[0], "other": KEYS[1]}))


def test_patients_that_no_table_has_are_left_out_by_name(tmp_path: Path) -> None:
    found = cohort(tmp_path, rows({"P4": KEYS[0], "s": KEYS[1]}, patients={"s": "P99"}))
    left = found.exclusions.set_index("id")
    assert left.loc["P99", "reason"] == "event is unknown"
    assert left.loc["s", "reason"] == "patient P99 left out: event is unknown"


def test_two_imports_share_a_slide(tmp_path: Path) -> None:
    one, two = rows({"s": KEYS[0]}, patients={"s": "P4"}), rows({"s": KEYS[1]}, "hif")
    with pytest.raises(DataError, match="hif: no id of 1 "):
        cohort(tmp_path, one, two)
    found = cohort(tmp_path, one, rows({"s": KEYS[1]}, "hif", patients={"s": "P4"}))
    assert list(found.images["source"]) == ["features uni, hif"]
    assert found.images["sha256"].item() not in KEYS.values()
    other = rows({"s": KEYS[1]}, "hif", patients={"s": "TCGA-ER-A2N1"})
    with pytest.raises(DataError, match=r"hif: slide s is of patient TCGA-.*, and of P4"):
        cohort(tmp_path, one, other)


def test_the_same_features_of_two_patients_keep_them_together(tmp_path: Path) -> None:
    found = cohort(tmp_path, rows({"P4": KEYS[0], "TCGA-ER-A2N2": KEYS[0]}))
    groups = patient_groups(found.patients, found.images)
    assert groups["P4"] == groups["TCGA-ER-A2N2"] != groups["TCGA-ER-A2N0"]
    assert any("copies" in note for note in found.notes)


def test_pictures_take_features_of_their_id(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    context = ReadContext(tmp_path, tmp_path)
    (tables,) = [source.read(context) for source in config().sources]
    columns = tables.images.columns
    picture = dict.fromkeys(columns, "") | {"image_id": "ISIC_1", "patient_id": "P4", "path": "x"}
    pictured = type(tables)(
        pd.DataFrame([picture], dtype="str"), tables.patients, tables.dictionary, tables.exclusions
    )
    placed = place_features([pictured], [rows({"isic_1.jpg": KEYS[0], "P4": KEYS[1]})])
    assert placed.keys == {"uni": {"ISIC_1": KEYS[0], "P4": KEYS[1]}}
    assert placed.slides is not None
    assert list(placed.slides.images["image_id"]) == ["P4"]


def test_the_digest_knows_features_and_only_then(tmp_path: Path) -> None:
    plain, one = cohort(tmp_path), cohort(tmp_path, rows({"P4": KEYS[0]}))
    two = cohort(tmp_path, rows({"P4": KEYS[1]}))
    assert len({plain.digest(), one.digest(), two.digest()}) == 3
