"""PAD-UFES-20: smartphone photographs with a clinical record of each lesion (Pacheco et al. 2020).

`imgs_part_1..3/PAT_8_15_820.png` and `metadata.csv`. Six diagnoses; Bowen's disease is counted
under SCC. The authors call BCC, MEL and SCC cancer. `biopsed` is the label in other words: every
cancer was confirmed by biopsy, and of the other lesions only a part.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import (
    AGE,
    CLOSE_UP,
    SEX,
    SEX_SPELLINGS,
    SITE,
    SKIN_TYPE,
    SKIN_TYPE_SPELLINGS,
    Collection,
    called,
    table_file,
    with_names,
)
from featurestore.tables import Column


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    table = with_names(tables["metadata"], image_id="img_id", file="img_id", diagnosis="diagnostic")
    return table.assign(image_role=CLOSE_UP)


def _yes_no(group: str, **labels: str) -> list[Column]:
    return [
        Column(name, "binary", group, label, source_column=name) for name, label in labels.items()
    ]


COLLECTION = Collection(
    name="pad-ufes-20",
    title="PAD-UFES-20",
    tables=(table_file("metadata", "img_id patient_id lesion_id diagnostic"),),
    rows=_rows,
    columns=(
        AGE,
        called(SEX, "gender"),
        called(SITE, "region"),
        called(SKIN_TYPE, "fitspatrick"),
        *_yes_no(
            "history",
            smoke="Smokes",
            drink="Drinks alcohol",
            pesticide="Exposed to pesticides",
            skin_cancer_history="Skin cancer before, or in the family",
            cancer_history="Cancer before, or in the family",
            has_piped_water="Piped water at home",
            has_sewage_system="Sewage system at home",
        ),
        Column(
            "background_father",
            "nominal",
            "demographic",
            "Father's family from",
            source_column="background_father",
        ),
        Column(
            "background_mother",
            "nominal",
            "demographic",
            "Mother's family from",
            source_column="background_mother",
        ),
        Column(
            "diameter_1", "numeric", "lesion", "Diameter", unit="mm", source_column="diameter_1"
        ),
        Column(
            "diameter_2",
            "numeric",
            "lesion",
            "Second diameter",
            unit="mm",
            source_column="diameter_2",
        ),
        *_yes_no(
            "lesion",
            itch="Itches",
            grew="Grew",
            hurt="Hurts",
            changed="Changed",
            bleed="Bled",
            elevation="Is raised",
        ),
    ),
    labels={
        "ack": (0, 0),
        "bcc": (0, 1),
        "bod": (0, 1),
        "mel": (1, 1),
        "nev": (0, 0),
        "scc": (0, 1),
        "sek": (0, 0),
    },
    withheld=("diagnostic", "biopsed"),
    ignored=("patient_id", "lesion_id", "img_id"),
    spellings={"sex": SEX_SPELLINGS, "fitzpatrick": SKIN_TYPE_SPELLINGS},
    licence="CC BY 4.0",
    attribution="PAD-UFES-20 (Pacheco et al. 2020)",
)
