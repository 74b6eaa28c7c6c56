"""Derm7pt: a clinical photograph and a dermoscopic one of each case (Kawahara et al. 2018).

`release_v0/meta/meta.csv` and `release_v0/images/NEL/NEL025.JPG`; `clinic` and `derm` are file
names, whose case differs between table and disk. The criteria of the seven-point checklist are
offered; their sum, the management, and how difficult the diagnosis is, were written by people who
knew it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import (
    CLOSE_UP,
    DERMOSCOPIC,
    SEX,
    SEX_SPELLINGS,
    SITE,
    UNKNOWN,
    Collection,
    called,
    table_file,
)
from featurestore.tables import Column

_ROLES = {"derm": DERMOSCOPIC, "clinic": CLOSE_UP}
_CRITERIA = (
    *("pigment_network", "streaks", "pigmentation", "regression_structures"),
    *("dots_and_globules", "blue_whitish_veil", "vascular_structures"),
)
_BENIGN = (
    *("blue nevus", "clark nevus", "combined nevus", "congenital nevus", "dermal nevus"),
    *("recurrent nevus", "reed or spitz nevus", "dermatofibroma", "lentigo", "melanosis"),
    *("seborrheic keratosis", "vascular lesion"),
)
_MELANOMAS = (
    *("melanoma", "melanoma (in situ)", "melanoma (less than 0.76 mm)"),
    *("melanoma (0.76 to 1.5 mm)", "melanoma (more than 1.5 mm)", "melanoma metastasis"),
)


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Two rows a case; a case without patient id is a patient of its own."""
    cases = tables["meta"]
    parts = []
    for column, role in _ROLES.items():
        images = cases[cases[column].notna()]
        names = images[column].str.replace("\\", "/")
        parts.append(
            images.assign(
                image_id=names.str.rpartition("/")[2].str.rpartition(".")[0].str.upper(),
                file=names,
                lesion_id="case " + images["case_num"],
                image_role=role,
            )
        )
    return pd.concat(parts, ignore_index=True)


COLLECTION = Collection(
    name="derm7pt",
    title="Derm7pt",
    tables=(table_file("meta", "case_num diagnosis clinic derm seven_point_score"),),
    rows=_rows,
    columns=(
        SEX,
        called(SITE, "location"),
        Column("elevation", "nominal", "lesion", "Elevation", source_column="elevation"),
        *(
            Column(
                name,
                "nominal",
                "dermoscopic_criteria",
                name.replace("_", " ").capitalize(),
                source_column=name,
            )
            for name in _CRITERIA
        ),
    ),
    labels={
        **dict.fromkeys(_BENIGN, (0, 0)),
        **dict.fromkeys(_MELANOMAS, (1, 1)),
        "basal cell carcinoma": (0, 1),
        "miscellaneous": (0, UNKNOWN),
    },
    withheld=("diagnosis", "seven_point_score", "management", "level_of_diagnostic_difficulty"),
    ignored=("case_num", "case_id", "clinic", "derm", "notes"),
    spellings={"sex": SEX_SPELLINGS},
    # `absent` is a level of the criteria, and so is `none` of some mirrors.
    notes=(
        "Derm7pt: the criteria of the checklist were scored by experts who may have known the "
        "diagnosis.",
    ),
)
