"""Outcomes of ISIC images."""

from __future__ import annotations

from featurestore.outcomes.base import Outcome, ValueRule

DIAGNOSES = (
    "diagnosis*",
    "benign_malignant",
    "melanocytic",
    "mel_*",
    "nevus_type",
    "concomitant_biopsy",
    "seborrheic_keratosis",
    "dx*",
    "target",
    "iddx*",
    "diagnostic",
    "biopsed",
    "management",
    "seven_point_score",
    "nine_partition_label",
    "three_partition_label",
    "invasion_thickness_interval",
    "lesion_class",
)
"""Patterns of columns that tell the diagnosis in other words."""

UNCONFIRMED = (
    "Benign lesions are often diagnosed without a biopsy: the way of confirmation differs between "
    "the classes."
)

MELANOMA = Outcome(
    name="melanoma",
    definition="The lesion is a melanoma (invasive or in situ) by the archive's diagnosis.",
    unit="lesion",
    as_of="acquisition of the image",
    rule=ValueRule("melanoma"),
    deny=(*DIAGNOSES, "malignant"),
    caveats=(UNCONFIRMED,),
    as_of_time="diagnosis",
)

MALIGNANT = Outcome(
    name="malignant",
    definition=(
        "The lesion is malignant by the collection's diagnosis: melanoma, basal cell or squamous "
        "cell carcinoma, or another cancer."
    ),
    unit="lesion",
    as_of="acquisition of the image",
    rule=ValueRule("malignant"),
    deny=(*DIAGNOSES, "melanoma"),
    caveats=(
        "Actinic keratoses count as not malignant; lesions of a class that holds them together "
        "with carcinomas in situ (AKIEC) are left out.",
        UNCONFIRMED,
    ),
    as_of_time="diagnosis",
)

MELANOMA_METASTASIS = Outcome(
    name="melanoma_metastasis",
    definition=(
        "The lesion in the image is a melanoma metastasis by the archive's diagnosis_3, against "
        "invasive, in situ and not otherwise specified melanomas."
    ),
    unit="lesion",
    as_of="acquisition of the image",
    rule=ValueRule(
        "diagnosis_3",
        positive=("Melanoma metastasis",),
        negative=("Melanoma Invasive", "Melanoma in situ", "Melanoma, NOS"),
        others="unknown",
    ),
    deny=(*DIAGNOSES, "melanoma", "malignant"),
    caveats=(
        "The image shows a metastasis or a primary: this is what the lesion is, and says nothing "
        "about whether a primary will metastasise.",
    ),
    as_of_time="diagnosis",
)
