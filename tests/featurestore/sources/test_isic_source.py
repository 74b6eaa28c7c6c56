"""Every published ISIC layout is read, and `malignant` is never taken for `melanoma`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from locations import SHARED
from PIL import Image

from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.isic import IsicSource


def read(folder: Path, files: dict[str, str], images: list[str], **keys: Any) -> SourceTables:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "img").mkdir(exist_ok=True)
    for image in images:
        path = folder / "img" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "pink").save(path)
    record = {"kind": "isic", "metadata": list(files), "images": ["img"], **keys}
    return validate(IsicSource, record, "config").read(ReadContext(folder, folder / "scratch"))


def melanoma(tables: SourceTables) -> dict[str, float | None]:
    table = tables.images.set_index("image_id")["melanoma"]
    return {i: None if np.isnan(v) else v for i, v in table.items()}


def test_isic_2017(tmp_path: Path) -> None:
    files = {
        "classes.csv": "image_id,melanoma\nISIC_1,0.0\nISIC_2,1.0\n",
        "meta.csv": "image_id,age_approximate,sex\nISIC_2,unknown,Male\nISIC_1,55,unknown\n",
    }
    tables = read(tmp_path, files, ["ISIC_1.jpg", "a/ISIC_2.JPG"], licence="CC0-1.0")
    assert melanoma(tables) == {"ISIC_1": 0, "ISIC_2": 1}
    patients = tables.patients.set_index("patient_id")
    np.testing.assert_array_equal(patients.loc[["ISIC_1", "ISIC_2"], "age"], [55, np.nan])
    assert patients["sex"].fillna("?").to_dict() == {"ISIC_1": "?", "ISIC_2": "male"}
    assert set(tables.images["licence"]) == {"CC0-1.0"}
    assert set(tables.images["source"]) == {"classes.csv+meta.csv"}
    assert tables.dictionary["age"].source_column == "age_approximate"
    assert tables.dictionary["age"].missing_tokens == ("unknown",)
    assert "classes.csv (ISIC-2017 ground truth, 2 images)" in tables.notes[0]
    assert "each counts as one patient" in tables.notes[1]


def test_isic_2018_and_2019(tmp_path: Path) -> None:
    files = {
        "truth.csv": "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
        "I1,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "I2_downsampled,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "I3,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0\n",
        "meta.csv": "image,age_approx,anatom_site_general,lesion_id,sex\n"
        "I1,55.0,anterior torso,MSK4_1,female\nI2_downsampled,,,MSK4_1,female\nI3,1.0,,,\n",
    }
    tables = read(tmp_path, files, ["I1.jpg", "I2_downsampled.jpg", "I3.jpg"], suffixes=[])
    assert melanoma(tables) == {"I1": 1, "I2_downsampled": 0, "I3": None}
    assert set(tables.patients["patient_id"]) == {"MSK4_1", "I3"}
    with pytest.raises(DataError, match="1 image has not exactly one class: I1"):
        read(tmp_path, {"truth.csv": files["truth.csv"].replace("1,1.0,0.0", "1,1.0,1.0")}, [])


def test_isic_2020(tmp_path: Path) -> None:
    files = {
        "train.csv": "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,"
        "benign_malignant,target\nI1,IP_1,male,45,torso,melanoma,malignant,1\n"
        "I2,IP_1,male,50,head/neck,nevus,benign,0\n"
    }
    tables = read(tmp_path, files, ["I1.jpg", "I2.jpg"])
    assert melanoma(tables) == {"I1": 1, "I2": 0}
    assert tables.patients.to_dict("records") == [
        {"patient_id": "IP_1", "age": 45.0, "sex": "male", "anatomical_site": "torso"}
    ]
    conflicts = tables.exclusions[tables.exclusions["entity"] == "value"]
    assert conflicts["id"].tolist() == ["IP_1", "IP_1"]
    assert conflicts["reason"].str.contains("45 kept .* others say 50").any()


def test_ham10000(tmp_path: Path) -> None:
    files = {
        "HAM10000_metadata.csv": "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
        "HAM_1,I1,mel,histo,60.0,female,back\nHAM_1,I2,mel,histo,60.0,female,back\n"
        "HAM_2,I3,bcc,histo,,unknown,unknown\n"
    }
    tables = read(tmp_path, files, ["I1.jpg", "I2.jpg", "I3.jpg"])
    assert melanoma(tables) == {"I1": 1, "I2": 1, "I3": 0}
    assert sorted(tables.patients["patient_id"]) == ["HAM_1", "HAM_2"]
    assert "images of one lesion count as one patient" in tables.notes[1]


ARCHIVE = [
    # diagnosis_1, diagnosis_2, diagnosis_3, diagnosis, benign_malignant, mel_class -> melanoma
    (
        "Malignant",
        "Malignant melanocytic proliferations (Melanoma)",
        "Melanoma in situ",
        "",
        "",
        "",
        1,
    ),
    (
        "Malignant",
        "Malignant melanocytic proliferations (Melanoma)",
        "Melanoma metastasis",
        "",
        "",
        "",
        1,
    ),
    ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "", "", "", "", 1),
    (
        "Malignant",
        "Malignant adnexal epithelial proliferations - Follicular",
        "Basal cell carcinoma",
        "",
        "malignant",
        "",
        0,
    ),
    (
        "Malignant",
        "Collision - At least one malignant proliferation",
        "",
        "",
        "malignant",
        "",
        None,
    ),
    (
        "Malignant",
        "Collision - At least one malignant proliferation",
        "",
        "melanoma",
        "malignant",
        "",
        1,
    ),
    ("Malignant", "", "", "", "malignant", "", None),
    ("Malignant", "", "", "basal cell carcinoma", "malignant", "", 0),
    ("Benign", "Benign melanocytic proliferations", "Nevus", "melanoma", "malignant", "", 0),
    ("Benign", "Collision - Only benign proliferations", "", "", "benign", "", 0),
    ("Benign", "", "", "", "", "", 0),
    (
        "Indeterminate",
        "Indeterminate melanocytic proliferations",
        "",
        "",
        "indeterminate",
        "",
        None,
    ),
    (
        "Indeterminate",
        "Indeterminate epidermal proliferations",
        "",
        "actinic keratosis",
        "benign",
        "",
        0,
    ),
    ("", "", "", "melanoma", "malignant", "", 1),
    ("", "", "", "squamous cell carcinoma", "malignant", "", 0),
    ("", "", "", "", "malignant", "", None),
    ("", "", "", "", "malignant", "invasive melanoma", 1),
    ("", "", "", "", "benign", "", 0),
    ("", "", "", "AIMP", "benign", "", None),
    ("", "", "", "melanoma", "benign", "", None),
    ("", "", "", "nevus", "indeterminate/benign", "", None),
    ("", "", "", "unknown", "", "", None),
]


def test_the_diagnosis_of_the_archive(tmp_path: Path) -> None:
    rows = "".join(
        f'I{k:02d},"' + '","'.join(map(str, row[:6])) + '"\n' for k, row in enumerate(ARCHIVE)
    )
    header = "isic_id,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis,benign_malignant,mel_class\n"
    tables = read(
        tmp_path, {"metadata.csv": header + rows}, [f"I{k:02d}.jpg" for k in range(len(ARCHIVE))]
    )
    assert list(melanoma(tables).values()) == [row[6] for row in ARCHIVE]


def test_patients_of_the_archive(tmp_path: Path) -> None:
    files = {
        "metadata.csv": "isic_id,attribution,copyright_license,lesion_id,patient_id,"
        "benign_malignant,fitzpatrick_skin_type,personal_hx_mm\n"
        "I1,MSK,CC-BY,IL_1,IP_1,benign,II,True\nI2,MSK,CC-0,IL_1,,benign,,\n"
        "I3,,,IL_2,,benign,IV,False\nI4,,,,,benign,,\n"
    }
    images = [f"I{k}.jpg" for k in range(1, 5)]
    tables = read(tmp_path, files, images, licence="see site", attribution="ISIC")
    table = tables.images.set_index("image_id")
    assert table["patient_id"].tolist() == ["IP_1", "IP_1", "IL_2", "I4"]
    assert table["licence"].tolist() == ["CC-BY", "CC-0", "see site", "see site"]
    assert table["attribution"].tolist() == ["MSK", "MSK", "ISIC", "ISIC"]
    patients = tables.patients.set_index("patient_id")
    assert patients["fitzpatrick"].fillna("?").to_dict() == {"IP_1": "II", "IL_2": "IV", "I4": "?"}
    assert patients["personal_history"].fillna(-1).to_dict() == {"IP_1": 1, "IL_2": 0, "I4": -1}


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


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is absent")
def test_the_real_archive_export() -> None:
    source = IsicSource(
        metadata=(Path("isic_archive/metadata.csv"),),
        images=(Path("isic2017"),),
    )
    tables = source.read(ReadContext(SHARED, Path("unused")))
    reference = pd.read_csv(SHARED / "isic_archive/metadata.csv").set_index("isic_id")
    named = reference["diagnosis_2"] == "Malignant melanocytic proliferations (Melanoma)"
    images = tables.images.set_index("image_id")
    assert len(images) == 454
    known = images["melanoma"].dropna()
    assert (known == named[known.index]).all()
    assert len(known) > 440


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


@pytest.mark.parametrize(
    "header",
    [
        "image,age_approx,anatom_site_general,lesion_id,gender",
        "Image,Age_Approx,Localization,Lesion_ID,Sex",
        "image_id,age,anatomical_site,lesion,GENDER",
        "image_name,approximate_age,body_site,lesion_id,sex",
    ],
)
def test_other_words_for_the_columns_keep_lesions_together(tmp_path: Path, header: str) -> None:
    rows = "ISIC_0000001,60,trunk,L1,M\nISIC_0000002,60,trunk,L1,male\nISIC_0000003,50,,L2,F\n"
    truth = "image,MEL,NV,BCC,BKL,DF,VASC\n" + "".join(
        f"ISIC_000000{k},{k % 2},{1 - k % 2},0,0,0,0\n" for k in (1, 2, 3)
    )
    images = [f"ISIC_000000{k}.jpg" for k in (1, 2, 3)]
    tables = read(tmp_path, {"meta.csv": f"{header}\n{rows}", "truth.csv": truth}, images)
    assert tables.images["patient_id"].tolist() == ["L1", "L1", "L2"]
    assert tables.patients["sex"].tolist() == ["male", "female"]
    assert tables.dictionary.names == ["age", "sex", "anatomical_site"]


@pytest.mark.parametrize("labels", [("benign", "malignant"), ("0.0", "1.0")])
def test_isic_2016_has_no_header(tmp_path: Path, labels: tuple[str, str]) -> None:
    ids = [f"ISIC_{k:07d}" for k in range(6)]
    rows = "".join(f"{name},{labels[k % 2]}\n" for k, name in enumerate(ids))
    tables = read(tmp_path, {"truth.csv": rows}, [f"{name}.jpg" for name in ids])
    assert melanoma(tables) == {name: float(k % 2) for k, name in enumerate(ids)}


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


def test_malignant_is_more_than_melanoma(tmp_path: Path) -> None:
    rows = [
        # diagnosis_1, diagnosis_3, benign_malignant, mel_class -> malignant
        ("Malignant", "Basal cell carcinoma", "", "", 1),
        ("Malignant", "Melanoma in situ", "", "", 1),
        ("Benign", "Nevus", "malignant", "", 0),  # the newer field counts
        ("Indeterminate", "Solar or actinic keratosis", "", "", 0),
        ("Indeterminate", "Atypical melanocytic neoplasm", "", "", None),
        ("", "", "malignant", "", 1),
        ("", "", "benign", "", 0),
        ("", "", "indeterminate/benign", "", None),
        ("", "", "", "invasive melanoma", 1),
    ]
    text = "isic_id,diagnosis_1,diagnosis_3,benign_malignant,mel_class\n"
    text += "".join(f"I{k},{','.join(row[:4])}\n" for k, row in enumerate(rows))
    tables = read(tmp_path, {"m.csv": text}, [f"I{k}.jpg" for k in range(len(rows))])
    found = tables.images.sort_values("image_id")["malignant"]
    assert [None if np.isnan(v) else v for v in found] == [row[4] for row in rows]


def test_spelled_out_diagnoses_of_ham10000(tmp_path: Path) -> None:
    names = ["Melanoma", "Melanocytic nevi", "Basal cell carcinoma", "Actinic keratoses", ""]
    text = "image_id,dx,lesion_id\n" + "".join(f"I{k},{n},L{k}\n" for k, n in enumerate(names))
    tables = read(tmp_path, {"m.csv": text}, [f"I{k}.jpg" for k in range(5)])
    assert list(melanoma(tables).values()) == [1, 0, 0, 0, None]
    assert tables.images["malignant"].fillna(-1).tolist() == [1, 0, 1, -1, -1]
    assert tables.notes[-1] == "Withheld from models, because they tell the diagnosis: dx."
