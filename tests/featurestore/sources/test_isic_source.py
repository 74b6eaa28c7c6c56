"""ISIC metadata and its images: rows and files that belong together, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from isic_example import melanoma, read
from PIL import Image

from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext
from featurestore.sources.isic import IsicSource

TWO = {"m.csv": "image_id,melanoma\nISIC_1,0\nISIC_2,1\n"}


def test_rows_and_files_without_counterpart_are_reported(tmp_path: Path) -> None:
    images = ["ISIC_1.png", "x/ISIC_1.jpg", "ISIC_9.jpg", "ISIC_1_superpixels.png"]
    tables = read(tmp_path, TWO, images)
    assert tables.images["image_id"].tolist() == ["ISIC_1"]
    found = {(e, i): r for e, i, _, r in tables.exclusions.to_numpy().tolist()}
    assert found.keys() == {
        ("image", "ISIC_2"),
        ("image", "ISIC_9"),
        ("image", "ISIC_1_superpixels.png"),
        ("value", "ISIC_1"),
    }
    assert found["image", "ISIC_9"] == "no metadata row names it"
    assert found["image", "ISIC_1_superpixels.png"] == "a mask, not a photograph"
    assert "ISIC_1.png" in found["value", "ISIC_1"]


def test_files_that_disagree(tmp_path: Path) -> None:
    files = TWO | {"b.csv": "image_id,melanoma,seborrheic_keratosis\nISIC_1,1,0\nISIC_2,1,0\n"}
    tables = read(tmp_path, files, ["ISIC_1.jpg", "ISIC_2.jpg"])
    assert melanoma(tables) == {"ISIC_1": 0, "ISIC_2": 1}
    assert tables.exclusions["reason"].tolist() == [
        "melanoma: 0 kept (file listed first), others say 1",
        "malignant: 0 kept (file listed first), others say 1",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "id,melanoma\n1,0\n",
            "not a layout of ISIC metadata; it has id, melanoma; known: archive",
        ),
        ("image_id,melanoma\nI1,0\nI1,1\n", "duplicate image id in .*m.csv: I1"),
        ("image_id,melanoma\n,0\n", "1 row has no image_id"),
        ("image_id,melanoma\nI1,2\n", "column 'melanoma' holds '2'"),
        ("image_id,melanoma\nI7,1\n", "none of the 1 images of m.csv has a file under img"),
        ("<html></html>", "HTML"),
    ],
)
def test_wrong_metadata_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, {"m.csv": content}, ["I1.jpg"])


def test_folders_and_columns_that_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(TWO["m.csv"])
    with pytest.raises(DataError, match=r"no such image folder: .*elsewhere"):
        IsicSource(metadata=(Path("m.csv"),), images=(Path("elsewhere"),)).read(
            ReadContext(tmp_path, tmp_path)
        )
    with pytest.raises(ConfigError, match="unknown column 'weight'; known: age, sex"):
        read(tmp_path, TWO, ["ISIC_1.jpg"], columns=["weight"])


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    files = {"m.csv": "image_id,age_approximate,sex\nI1,50,male\n"}
    assert read(tmp_path, files, ["I1.jpg"], columns=["sex"]).dictionary.names == ["sex"]


IDS_2019 = ["I1", "I2_downsampled", "I3_downsampled"]


@pytest.mark.parametrize("ids", [IDS_2019, ["I1", "I2", "I3"], [f"{i}.jpg" for i in IDS_2019]])
@pytest.mark.parametrize("names", [IDS_2019, ["I1", "I2", "I3"]])
def test_an_ending_is_left_out_on_both_sides(
    tmp_path: Path, ids: list[str], names: list[str]
) -> None:
    files = {
        "truth.csv": "image_id,melanoma\n" + "".join(f"{i},{k % 2}\n" for k, i in enumerate(ids)),
        "meta.csv": "image,age_approx,sex\n" + "".join(f"{i},60,male\n" for i in IDS_2019),
    }
    tables = read(tmp_path, files, [f"{name}.jpg" for name in names])
    assert melanoma(tables) == {"I1": 0, "I2": 1, "I3": 0}
    assert tables.patients["age"].tolist() == [60, 60, 60]
    assert set(tables.exclusions["entity"]) <= {"value"}


def test_a_file_with_both_forms_has_two_images(tmp_path: Path) -> None:
    files = {"truth.csv": "image_id,melanoma\nI1,1\nI1_downsampled,0\nI2_downsampled,1\n"}
    tables = read(tmp_path, files, ["I1.jpg", "I1_downsampled.jpg", "I2_downsampled.jpg"])
    assert melanoma(tables) == {"I1": 1, "I1_downsampled": 0, "I2": 1}
    named = {Path(p).stem for p in tables.images["path"]}
    assert named == {"I1", "I1_downsampled", "I2_downsampled"}


def test_columns_and_values_that_are_not_understood_stop_nothing(tmp_path: Path) -> None:
    files = {
        "m.csv": "isic_id,age_approx,sex,fitzpatrick_skin_type,family_hx_mm,diagnosis_1\n"
        "I1,60,male,II,whoknows,Benign\nI2,very old,other,7,perhaps,Benign\n"
        "I3,40,female,,sometimes,Benign\n"
    }
    tables = read(tmp_path, files, ["I1.jpg", "I2.jpg", "I3.jpg"])
    assert tables.dictionary.names == ["age", "sex", "fitzpatrick"]
    assert tables.patients["sex"].fillna("?").tolist() == ["male", "?", "female"]
    assert tables.patients["fitzpatrick"].fillna("?").tolist() == ["II", "?", "?"]
    assert tables.unmapped == ("ISIC metadata: family_hx_mm",)
    said = set(zip(tables.exclusions["entity"], tables.exclusions["id"], strict=True))
    assert said == {("column", "family_hx_mm"), ("value", "I2")}


def test_masks_beside_the_photographs(tmp_path: Path) -> None:
    for k in range(4):
        drawn = np.zeros((32, 32), dtype=np.uint8)
        drawn[8:20, 9:25] = 255
        path = tmp_path / "img" / "GroundTruth" / f"I{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn).save(path)
    rows = "image_id,melanoma\n" + "".join(f"I{k},{k % 2}\n" for k in range(4))
    tables = read(tmp_path, {"truth.csv": rows}, [f"images/I{k}.jpg" for k in range(4)])
    assert {Path(p).parent.name for p in tables.images["path"]} == {"images"}
    assert tables.exclusions["reason"].tolist() == ["a mask, not a photograph"] * 4
    assert tables.exclusions["id"].tolist()[0] == "GroundTruth/I0.png"
    for k in range(4):
        (tmp_path / "img" / "images" / f"I{k}.jpg").unlink()
    with pytest.raises(DataError, match=r"none of the 4 images .* \(4 masks\)"):
        read(tmp_path, {"truth.csv": rows}, [])
