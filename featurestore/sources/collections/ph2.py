"""PH2: 200 dermoscopic images of nevi and melanomas with their criteria (Mendonça et al. 2013).

`PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp`, masks in the folders
`IMD003_lesion` and `IMD003_roi` beside it, and one table as text (`PH2_dataset.txt`, cells between
pipes) and as workbook (`PH2_dataset.xlsx`). Of both the text counts. Colours are codes in the text
and crosses in the workbook.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.sources.collections.base import DERMOSCOPIC, Collection, TableFile
from featurestore.tables import Column

_CLASSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
_COLOURS = ("white", "red", "light-brown", "dark-brown", "blue-gray", "black")
_GROUP = "dermoscopic_criteria"
_ASYMMETRY = {"0": "none", "1": "in one axis", "2": "in two axes"}
_STRUCTURES = {"a": "absent", "t": "typical", "at": "atypical"}
_PRESENCE = {"a": "absent", "p": "present"}


def _rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    if "text" in tables:
        table = tables["text"]
        diagnosis = table["clinical diagnosis"].map(_CLASSES).fillna(table["clinical diagnosis"])
        codes = table["colors"].fillna("").str.split()
        colours = {
            colour: pd.Series([str(int(str(k) in found)) for found in codes], index=table.index)
            for k, colour in enumerate(_COLOURS, 1)
        }
        table = table.assign(**colours)
    else:
        table = tables["workbook"]
        table = table.rename(columns=lambda name: name.partition(" (")[0])  # `streaks (a/p)`
        marks = table[list(_CLASSES.values())].notna()
        crossed = marks.idxmax(axis=1).where(marks.sum(axis=1) == 1)
        diagnosis = crossed.astype("str")
        found = [colour for colour in _COLOURS if colour in table.columns]
        table = table.assign(**{c: table[c].notna().astype(int).astype("str") for c in found})
        table = table.rename(columns={"image name": "name"})
    return table.assign(
        image_id=table["name"],
        file=table["name"],
        diagnosis=diagnosis.astype("str"),
        image_role=DERMOSCOPIC,
    )


def _criterion(header: str, levels: Mapping[str, str], kind: str = "nominal") -> Column:
    name = header.replace(" ", "_").replace("/", "_").replace("-", "_")
    return Column(
        name,
        kind,  # type: ignore[arg-type]
        _GROUP,
        header.capitalize(),
        levels=tuple(levels.values()),
        source_column=header,
    )


_CRITERIA = {
    "asymmetry": _ASYMMETRY,
    "pigment network": _STRUCTURES,
    "dots/globules": _STRUCTURES,
    "streaks": _PRESENCE,
    "regression areas": _PRESENCE,
    "blue-whitish veil": _PRESENCE,
}
_COLUMNS = tuple(
    _criterion(header, levels, "ordinal" if header == "asymmetry" else "nominal")
    for header, levels in _CRITERIA.items()
)

COLLECTION = Collection(
    name="ph2",
    title="PH2",
    tables=(
        TableFile(
            "text", frozenset({"name", "clinical diagnosis", "asymmetry", "colors"}), needed=False
        ),
        TableFile("workbook", frozenset({"image name", *_CLASSES.values()}), needed=False),
    ),
    rows=_rows,
    columns=(
        *_COLUMNS,
        *(
            Column(
                f"colour_{colour.replace('-', '_')}",
                "binary",
                _GROUP,
                f"{colour.replace('-', ' ').capitalize()} is seen",
                source_column=colour,
            )
            for colour in _COLOURS
        ),
    ),
    labels={"common nevus": (0, 0), "atypical nevus": (0, 0), "melanoma": (1, 1)},
    withheld=("histological diagnosis", "clinical diagnosis", *_CLASSES.values()),
    ignored=("name", "image name", "colors", "* (*)"),
    spellings={
        column.name: levels for column, levels in zip(_COLUMNS, _CRITERIA.values(), strict=True)
    },
    licence="research and education only, no redistribution",
    attribution="PH2 (Mendonça et al. 2013)",
    notes=(
        "PH2: it names no patients, so images of one patient may lie on both sides of a fold; the "
        "criteria were scored by experts who may have known the diagnosis.",
    ),
)
