"""Fitzpatrick17k: pictures of two atlases with skin type and condition (Groh et al. 2021).

`fitzpatrick17k.csv`; the pictures are fetched from the atlases and named by `md5hash` or by
`url_alphanum`. A skin type of -1 is unknown. There are no patients.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import (
    CLOSE_UP,
    SKIN_TYPE,
    SKIN_TYPE_SPELLINGS,
    Collection,
    called,
    table_file,
    with_names,
)
from featurestore.tables import Column

_WRONG = "3"
"""Begins what `qc` says of pictures that an expert found wrongly labelled."""


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The three-part label tells malignant, the nine-part one which malignant lesions are melanoma.

    A picture that an expert found wrongly labelled has no label.
    """
    table = with_names(
        tables["labels"], image_id="md5hash", file="md5hash", other_file="url_alphanum"
    )
    three = table["three_partition_label"].str.casefold()
    nine = table["nine_partition_label"].str.casefold()
    diagnosis = three.mask(nine.str.contains("melanoma", na=False), "melanoma")
    told = table["label"] if "label" in table.columns else diagnosis
    if "qc" in table.columns:
        wrong = table["qc"].str.startswith(_WRONG, na=False)
        diagnosis, told = diagnosis.mask(wrong), told.mask(wrong)
    if "url" in table.columns:
        table = table.assign(attribution=table["url"].str.extract(r"://(?:www\.)?([^/]+)")[0])
    words = {"diagnosis": diagnosis.astype("str"), "told": told.astype("str")}
    return table.assign(**words, image_role=CLOSE_UP)


COLLECTION = Collection(
    name="fitzpatrick17k",
    title="Fitzpatrick17k",
    tables=(
        table_file(
            "labels", "md5hash fitzpatrick_scale three_partition_label nine_partition_label"
        ),
    ),
    rows=_rows,
    columns=(
        called(SKIN_TYPE, "fitzpatrick_scale"),
        Column(
            "fitzpatrick_centaur",
            "ordinal",
            "demographic",
            "Fitzpatrick skin type, second rating",
            levels=SKIN_TYPE.levels,
            source_column="fitzpatrick_centaur",
        ),
    ),
    labels={
        "melanoma": (1, 1),
        "malignant": (0, 1),
        "benign": (0, 0),
        "non-neoplastic": (0, 0),
    },
    withheld=("label", "nine_partition_label", "three_partition_label", "qc"),
    ignored=("md5hash", "url", "url_alphanum", "row_names", "unnamed_*"),
    spellings={"fitzpatrick": SKIN_TYPE_SPELLINGS, "fitzpatrick_centaur": SKIN_TYPE_SPELLINGS},
    missing={"fitzpatrick": ("-1", "-1.0"), "fitzpatrick_centaur": ("-1", "-1.0")},
    notes=(
        "Fitzpatrick17k: it names no patients, so pictures of one patient may lie on both sides of "
        "a fold.",
    ),
)
