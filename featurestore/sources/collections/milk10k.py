"""MILK10k: a close-up and a dermoscopic image of each lesion.

`MILK10k_Training_Input/<lesion_id>/<isic_id>.jpg`, `_Metadata.csv`, `_GroundTruth.csv` (one column
a class) and `_Supplement.csv`. The MONET scores are a network's reading of each image, so a lesion
has two of each, told apart by the role of the image.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import (
    AGE,
    CLOSE_UP,
    DERMOSCOPIC,
    SEX,
    SEX_SPELLINGS,
    SITE,
    UNKNOWN,
    Collection,
    called,
    one_hot,
    table_file,
    with_names,
)
from featurestore.tables import Column

_LABELS = {
    "akiec": (0, UNKNOWN),  # actinic keratoses and carcinomas in situ in one class
    "bcc": (0, 1),
    "ben_oth": (0, 0),
    "bkl": (0, 0),
    "df": (0, 0),
    "inf": (0, 0),
    "mal_oth": (0, 1),
    "mel": (1, 1),
    "nv": (0, 0),
    "sccka": (0, 1),
    "vasc": (0, 0),
}


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    table = with_names(tables["metadata"], image_id="isic_id", file="isic_id")
    dermoscopic = table["image_type"].str.casefold().str.contains("dermosc", na=False)
    role = dermoscopic.map({True: DERMOSCOPIC, False: CLOSE_UP}).astype("str")
    table = table.assign(image_role=role)
    for name in [c for c in table.columns if c.startswith("monet_")]:
        for value, ending in ((DERMOSCOPIC, "dermoscopic"), (CLOSE_UP, "close_up")):
            by_lesion = table.loc[role == value].groupby("lesion_id")[name].first()
            table[f"{name}_{ending}"] = table["lesion_id"].map(by_lesion).astype("str")
        table = table.drop(columns=name)
    if "ground_truth" in tables:
        truth = tables["ground_truth"]
        diagnosis = one_hot(truth, _LABELS).set_axis(truth["lesion_id"].to_numpy())
        table["diagnosis"] = table["lesion_id"].map(diagnosis).astype("str")
    return table


COLLECTION = Collection(
    name="milk10k",
    title="MILK10k",
    tables=(
        table_file("metadata", "lesion_id isic_id image_type skin_tone_class"),
        table_file("ground_truth", "lesion_id akiec ben_oth mal_oth mel sccka", needed=False),
        table_file(
            "supplement", "isic_id diagnosis_full invasion_thickness_interval", needed=False
        ),
    ),
    rows=_rows,
    columns=(
        called(AGE, "age_approx"),
        SEX,
        SITE,
        Column(
            "skin_tone_class",
            "ordinal",
            "demographic",
            "Skin tone (0 is dark)",
            levels=("0", "1", "2", "3", "4", "5"),
            source_column="skin_tone_class",
        ),
        Column("monet", "numeric", "image_concept", source_column="monet_*"),
    ),
    labels=_LABELS,
    withheld=(*_LABELS, "diagnosis_*", "invasion_thickness_interval"),
    ignored=(
        *("lesion_id", "isic_id", "image_type", "image_manipulation"),
        *("attribution", "copyright_license"),
    ),
    spellings={
        "sex": SEX_SPELLINGS,
        "skin_tone_class": {f"{k}.0": str(k) for k in range(6)},
    },
    notes=(
        "MILK10k: the class AKIEC holds actinic keratoses and carcinomas in situ, so whether its "
        "lesions are malignant is unknown.",
    ),
)
