"""ISIC-2024 (SLICE-3D): tiles of total body photographs, as Kaggle gives them.

`train-image.hdf5` holds the bytes of a JPEG for each `isic_id`; `train-metadata.csv` holds label,
predictors and, beside them, the report of the pathologist. That a lesion has an id of its own, or
a thickness, says that it was excised. `tbp_lv_dnn_lesion_confidence` is withheld with them, as it
is a network's opinion that the organisers took out of the test set.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import (
    AGE,
    SEX,
    SEX_SPELLINGS,
    SITE,
    TOTAL_BODY,
    UNKNOWN,
    Collection,
    called,
    table_file,
    with_names,
)
from featurestore.tables import Column

_UNDECIDED = r"atypical melanocytic|atypical intraepithelial|indeterminate::.*melanocytic"


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The label is `target`; which cancer it is stands in the text of the diagnosis."""
    table = with_names(tables["metadata"], image_id="isic_id", file="isic_id")
    for role in ("ground_truth", "supplement"):
        if role in tables:
            more = tables[role].columns.difference(table.columns).union(["isic_id"])
            table = table.merge(tables[role][list(more)], on="isic_id", how="left")
    if "target" not in table.columns:
        truth = table["malignant"] if "malignant" in table.columns else pd.NA
        table = table.assign(target=pd.Series(truth, index=table.index, dtype="str"))
    target = table["target"].map({"0": "benign", "0.0": "benign", "1": "other", "1.0": "other"})
    text = table["iddx_full"] if "iddx_full" in table.columns else None
    if text is None:
        diagnosis = target.replace({"other": "malignant"})
        told = diagnosis
    else:
        lower = text.str.casefold().fillna("")
        diagnosis = target.mask((target == "other") & lower.str.contains("melanoma"), "melanoma")
        undecided = (target == "benign") & lower.str.contains(_UNDECIDED)
        diagnosis = diagnosis.mask(undecided, "undecided").mask(
            (target == "other") & (lower == ""), "malignant"
        )
        told = text.fillna(diagnosis)
    words = {"diagnosis": diagnosis.astype("str"), "told": told.astype("str")}
    return table.assign(**words, image_role=TOTAL_BODY)


COLLECTION = Collection(
    name="isic-2024",
    title="ISIC-2024 (SLICE-3D)",
    tables=(
        table_file("metadata", "isic_id patient_id tbp_tile_type"),
        table_file("ground_truth", "isic_id malignant", needed=False, exact=True),
        table_file("supplement", "isic_id iddx_full", needed=False),
    ),
    rows=_rows,
    columns=(
        called(AGE, "age_approx"),
        SEX,
        called(SITE, "anatom_site_general"),
        Column(
            "clin_size_long_diam_mm",
            "numeric",
            "lesion",
            "Longest diameter",
            unit="mm",
            source_column="clin_size_long_diam_mm",
        ),
        Column(
            "tbp_tile_type", "nominal", "acquisition", "Lighting", source_column="tbp_tile_type"
        ),
        Column("tbp_lv_location", "nominal", "lesion", source_column="tbp_lv_location"),
        Column(
            "tbp_lv_location_simple", "nominal", "lesion", source_column="tbp_lv_location_simple"
        ),
        Column("tbp_lv", "numeric", "measurement", source_column="tbp_lv_*"),
    ),
    labels={
        "benign": (0, 0),
        "undecided": (UNKNOWN, 0),
        "melanoma": (1, 1),
        "other": (0, 1),
        "malignant": (UNKNOWN, 1),
    },
    withheld=(
        *("target", "malignant", "iddx_*", "mel_mitotic_index", "mel_thick_mm"),
        "tbp_lv_dnn_lesion_confidence",
    ),
    ignored=(
        *("isic_id", "patient_id", "lesion_id", "image_type"),
        *("attribution", "copyright_license"),
    ),
    spellings={"sex": SEX_SPELLINGS},
)
