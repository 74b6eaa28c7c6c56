"""Diagnoses of ISIC: `malignant` is never taken for `melanoma`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from isic_example import melanoma, read
from locations import SHARED

from featurestore.sources.base import ReadContext
from featurestore.sources.isic import IsicSource

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
