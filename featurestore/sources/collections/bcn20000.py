"""BCN20000: dermoscopic images of the Hospital Clínic in Barcelona (Combalia et al. 2019).

`bcn_20k_train/` and a table with `bcn_filename`; diagnoses as codes of ISIC-2019, or spelled out.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import (
    AGE,
    DERMOSCOPIC,
    SEX,
    SEX_SPELLINGS,
    SITE,
    Collection,
    called,
    table_file,
    with_names,
)

_NOT_MALIGNANT = (
    *("nv", "bkl", "ak", "df", "vasc", "nevus", "seborrheic keratosis", "solar lentigo"),
    *("actinic keratosis", "dermatofibroma", "vascular lesion", "scar"),
)


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    table = with_names(tables["metadata"], image_id="bcn_filename", file="bcn_filename")
    return table.assign(image_role=DERMOSCOPIC)


COLLECTION = Collection(
    name="bcn20000",
    title="BCN20000",
    tables=(table_file("metadata", "bcn_filename lesion_id diagnosis"),),
    rows=_rows,
    columns=(called(AGE, "age_approx"), SEX, called(SITE, "anatom_site_general")),
    labels={
        **dict.fromkeys(_NOT_MALIGNANT, (0, 0)),
        **dict.fromkeys(("mel", "melanoma", "melanoma metastasis"), (1, 1)),
        **dict.fromkeys(("bcc", "scc", "basal cell carcinoma", "squamous cell carcinoma"), (0, 1)),
    },
    withheld=("diagnosis",),
    ignored=("bcn_filename", "lesion_id", "capture_date", "split"),
    spellings={"sex": SEX_SPELLINGS},
)
