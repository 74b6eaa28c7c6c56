"""The layouts of ISIC metadata files, recognised by their columns, and their melanoma label.

The archive renamed its columns over the years, and every challenge published its own; a layout
translates one of them into common names. A new layout is one `Layout` and one line in `LAYOUTS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables.parsing import parse_binary

# `malignant` is not `melanoma`: basal and squamous cell carcinomas are malignant too.
_MELANOMA = r"\bmelanoma\b"
_UNDECIDED = r"\bindeterminate\b|atypical melanocytic|\bAIMP\b|^other$|collision"
_CLASSES_2018 = ("MEL", "NV", "BCC", "BKL", "DF", "VASC")


@dataclasses.dataclass(frozen=True)
class Layout:
    """One file layout.

    Attributes:
        name: Name for people.
        image_id: Column of image ids.
        required: Columns by which the layout is recognised, beside `image_id`.
        rename: Common name of a column; other columns keep their names.
        melanoma: Computes 1.0, 0.0 and NaN from the renamed table, or None without diagnosis.
    """

    name: str
    image_id: str
    required: frozenset[str]
    rename: Mapping[str, str]
    melanoma: Callable[[pd.DataFrame, str], pd.Series] | None = None


def recognise(table: pd.DataFrame, path: Path) -> Layout:
    """Finds the layout of a file.

    Raises:
        DataError: The columns fit no known layout.
    """
    columns = set(table.columns)
    for layout in LAYOUTS:
        if layout.image_id in columns and layout.required <= columns:
            return layout
    known = "; ".join(f"{y.name} ({', '.join([y.image_id, *sorted(y.required)])})" for y in LAYOUTS)
    raise DataError(
        f"{path}: not a layout of ISIC metadata; it has {name_some(list(table.columns), 12)}; "
        f"known: {known}; for other tables use kind: table"
    )


def translate(
    table: pd.DataFrame, layout: Layout, path: Path
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Gives the columns of a file (text, NaN for missing) their common names.

    Returns:
        Table with `image_id`, common and remaining columns, and `melanoma` (1.0, 0.0, NaN) where
        the file knows a diagnosis; and the common name of every renamed column.

    Raises:
        DataError: A label holds what it cannot hold.
    """
    names = {layout.image_id: "image_id"}
    for column, common in layout.rename.items():
        if column in table.columns and common not in {*table.columns, *names.values()}:
            names[column] = common
    renamed = table.rename(columns=names)
    renamed["image_id"] = renamed["image_id"].str.replace(
        r"\.(?i:jpe?g|png|tiff?)$", "", regex=True
    )
    if layout.melanoma is not None:
        renamed["melanoma"] = layout.melanoma(renamed, str(path))
    return renamed, names


def _from_column(column: str) -> Callable[[pd.DataFrame, str], pd.Series]:
    def melanoma(table: pd.DataFrame, where: str) -> pd.Series:
        return parse_binary(table[column], {}, f"{where}: column {column!r}")

    return melanoma


def _from_dx(table: pd.DataFrame, where: str) -> pd.Series:
    """HAM10000: `mel` against the other six classes."""
    return table["dx"].str.casefold().eq("mel").astype(float).where(table["dx"].notna())


def _from_one_hot(table: pd.DataFrame, where: str) -> pd.Series:
    """ISIC-2018 and 2019 ground truth: exactly one class is 1; `UNK` is no diagnosis."""
    classes = [c for c in table.columns if c in (*_CLASSES_2018, "AK", "AKIEC", "SCC", "UNK")]
    flags = pd.DataFrame({c: parse_binary(table[c], {}, f"{where}: column {c!r}") for c in classes})
    wrong = table.loc[flags.sum(axis=1) != 1, "image_id"]
    if len(wrong):
        raise DataError(
            f"{where}: {len(wrong)} images have not exactly one class: "
            f"{name_some(sorted(wrong.astype(str)))}"
        )
    unknown = flags["UNK"] == 1 if "UNK" in flags else pd.Series(False, index=table.index)
    return flags["MEL"].mask(unknown)


def _from_diagnosis(table: pd.DataFrame, where: str) -> pd.Series:
    """Archive: the hierarchy `diagnosis_1..5` where it decides, else the older fields.

    Melanoma in situ, invasive, not otherwise specified and metastatic count as melanoma.
    Indeterminate melanocytic lesions, malignant collisions in which no melanoma is named, and
    `malignant` without a diagnosis are unknown.
    """
    first = _text(table, "diagnosis_1").str.casefold().fillna("")
    finer = _text(table, "diagnosis_2").fillna("")
    for column in ("diagnosis_3", "diagnosis_4", "diagnosis_5"):
        finer = finer.str.cat(_text(table, column).fillna(""), sep=" ").str.strip()
    malignant, collision = first == "malignant", finer.str.contains("collision", case=False)
    decided = {
        1.0: malignant & finer.str.contains(_MELANOMA, case=False),
        0.0: (first == "benign")
        | (malignant & (finer != "") & ~finer.str.contains(_MELANOMA, case=False) & ~collision)
        | ((first == "indeterminate") & finer.str.contains("epidermal", case=False)),
    }
    older = _from_older_fields(table)
    use_older = (first == "") | (malignant & (finer == "")) | (collision & older.eq(1.0))
    melanoma = older.where(use_older)
    for value, rows in decided.items():
        melanoma = melanoma.mask(rows & ~use_older, value)
    return melanoma


def _from_older_fields(table: pd.DataFrame) -> pd.Series:
    """`diagnosis`, `mel_class` and `benign_malignant` as archive exports had them until 2024."""
    diagnosis = _text(table, "diagnosis").fillna("")
    kind = _text(table, "benign_malignant").str.casefold().fillna("")
    undecided = diagnosis.str.contains(_UNDECIDED, case=False) | kind.str.startswith("indeterm")
    melanoma = pd.Series(np.nan, index=table.index)
    melanoma[(kind == "benign") | (diagnosis != "")] = 0.0
    melanoma[undecided] = np.nan
    named = diagnosis.str.contains(_MELANOMA, case=False) | _text(table, "mel_class").notna()
    melanoma[named] = 1.0
    melanoma[named & (kind == "benign")] = np.nan
    return melanoma


def _text(table: pd.DataFrame, column: str) -> pd.Series:
    if column in table.columns:
        return table[column].astype("str")
    return pd.Series(pd.NA, index=table.index, dtype="str")


_PATIENT_NAMES = {
    "age_approx": "age",
    "age_approximate": "age",
    "anatom_site_general_challenge": "anatomical_site",
    "anatom_site_general": "anatomical_site",
    "anatom_site_1": "anatomical_site",
    "localization": "anatomical_site",
    "fitzpatrick_skin_type": "fitzpatrick",
    "personal_hx_mm": "personal_history",
    "family_hx_mm": "family_history",
    "copyright_license": "licence",
    "patient": "patient_id",
}


def _layout(
    name: str,
    image_id: str,
    required: str = "",
    melanoma: Callable[[pd.DataFrame, str], pd.Series] | None = None,
) -> Layout:
    return Layout(name, image_id, frozenset(required.split()), _PATIENT_NAMES, melanoma)


# The first that fits counts, so the more specific come first.
LAYOUTS: tuple[Layout, ...] = (
    _layout("archive metadata", "isic_id", "", _from_diagnosis),
    _layout("ISIC-2020 ground truth", "image_name", "target", _from_column("target")),
    _layout("ISIC-2020 metadata", "image_name", "patient_id"),
    _layout("HAM10000 metadata", "image_id", "dx", _from_dx),
    _layout("ISIC-2018/2019 ground truth", "image", " ".join(_CLASSES_2018), _from_one_hot),
    _layout("ISIC-2017 ground truth", "image_id", "melanoma", _from_column("melanoma")),
    _layout("ISIC-2017 metadata", "image_id", "age_approximate sex"),
    _layout("archive image list", "image", "benign_malignant diagnosis", _from_diagnosis),
    _layout("ISIC-2019 metadata", "image", "age_approx sex"),
)
