"""The class of a lesion from what collections call it."""

from __future__ import annotations

import pandas as pd
import pytest

from featurestore.outcomes import OUTCOMES
from featurestore.outcomes.lesion_classes import CLASSES, LESION_CLASS, LESION_OUTCOMES
from featurestore.sources.lesion_class import isic_lesion_classes, lesion_classes

TEXTS = {
    "NV": "nevus",
    "clark nevus": "nevus",
    "reed or spitz nevus": "nevus",
    "Benign::Benign melanocytic proliferations::Nevus::Nevus, Atypical, Dysplastic": "nevus",
    "Benign::Flat melanotic pigmentations - not melanocytic nevus::Lentigo NOS": "other",
    "Benign::Flat melanotic pigmentations - not melanocytic nevus::Solar lentigo": (
        "benign_keratosis"
    ),
    "Benign::Benign epidermal proliferations::Seborrheic keratosis": "benign_keratosis",
    "Benign::Benign epidermal proliferations": "benign",
    "Malignant::Malignant adnexal epithelial proliferations - Follicular::Basal cell carcinoma": (
        "bcc"
    ),
    "Malignant::Malignant epidermal proliferations::Squamous cell carcinoma in situ": "scc",
    "Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma in situ": "melanoma",
    "Malignant::Malignant epidermal proliferations": "malignant",
    "Indeterminate::Indeterminate epidermal proliferations::Solar or actinic keratosis": (
        "actinic_keratosis"
    ),
    "Indeterminate::Indeterminate melanocytic proliferations": None,
    "Malignant::Collision - At least one malignant proliferation": None,
    "actinic keratoses and intraepithelial carcinoma": "akiec",
    "akiec": "akiec",
    "ACK": "actinic_keratosis",
    "BOD": "scc",
    "SEK": "benign_keratosis",
    "sccka": "scc",
    "df": "dermatofibroma",
    "Benign::Benign soft tissue proliferations - Vascular::Hemangioma": "vascular_lesion",
    "mal_oth": "other",
    "psoriasis": "other",
    "malignant": "malignant",
    "UNK": None,
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_diagnosis_has_a_class(text: str) -> None:
    found = lesion_classes(pd.Series([text, None], dtype="str"))
    assert found.isna().tolist() == [TEXTS[text] is None, True]
    assert set(found.dropna()) <= set(CLASSES)
    assert TEXTS[text] is None or found[0] == TEXTS[text]


def test_a_file_that_tells_a_label_only() -> None:
    table = pd.DataFrame(
        {
            "melanoma": [1.0, 0.0, 0.0, float("nan")],
            "malignant": [1.0, 0.0, 1.0, float("nan")],
        }
    )
    assert isic_lesion_classes(table).fillna("?").tolist() == [
        *("melanoma", "benign", "malignant", "?")
    ]
    challenge = table.iloc[:2].assign(seborrheic_keratosis=["0.0", "0.0"])
    assert isic_lesion_classes(challenge).tolist() == ["melanoma", "nevus"]


@pytest.mark.parametrize("outcome", [o.name for o in LESION_OUTCOMES])
def test_one_class_stands_against_all_that_are_certainly_others(outcome: str) -> None:
    images = pd.DataFrame({"patient_id": list(CLASSES), LESION_CLASS: list(CLASSES)})
    patients = pd.DataFrame({"patient_id": list(CLASSES)})
    labels = OUTCOMES[outcome].labels(patients, images)
    assert labels[outcome] == 1.0
    assert (labels == 1.0).sum() == 1
    unknown = set(labels.index[labels.isna()])
    assert unknown <= {"benign", "malignant", "akiec"}
    assert ("akiec" in unknown) == (outcome in ("scc", "actinic_keratosis"))
    assert {"benign", "malignant"} & unknown
    assert LESION_CLASS in OUTCOMES[outcome].denied([LESION_CLASS])
