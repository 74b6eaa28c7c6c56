"""Every published ISIC layout is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from isic_example import melanoma, read

from featurestore.errors import DataError


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
