"""The layouts of ISIC metadata files, recognised by their columns, and their melanoma label.

The archive renamed its columns over the years, every challenge published its own, and people rename
them once more; headers become common names first, and a layout is recognised by those. A new layout
is one `Layout` and one line in `LAYOUTS`, another word for a column goes into `_HEADERS`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources import isic_malignant
from featurestore.sources.collections.base import CLOSE_UP, DERMOSCOPIC, TOTAL_BODY
from featurestore.tables import parse_binary
from featurestore.units import counted

# `malignant` is not `melanoma`: basal and squamous cell carcinomas are malignant too.
_MELANOMA = r"\bmelanoma\b"
_UNDECIDED = r"\bindeterminate\b|atypical melanocytic|\bAIMP\b|^other$|collision"
_CLASSES_2018 = ("MEL", "NV", "BCC", "BKL", "DF", "VASC")
CLASSES = (*_CLASSES_2018, "AK", "AKIEC", "SCC", "UNK")
"""Columns of one-hot diagnoses."""


ISIC_ID = re.compile(r"ISIC_\d{7}(?:_downsampled)?(?:\.\w+)?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Layout:
    """One file layout.

    Attributes:
        name: Name for people.
        image_id: Columns that image ids may be in, the preferred one first.
        required: Columns by which the layout is recognised, beside the image ids.
        one_of: Further columns of which there must be one; empty asks for none.
        melanoma: Computes 1.0, 0.0 and NaN from the renamed table, or None without diagnosis.
        malignant: Computes the same of `malignant`, from that table and its melanomas.
    """

    name: str
    image_id: tuple[str, ...]
    required: frozenset[str]
    one_of: frozenset[str]
    melanoma: Callable[[pd.DataFrame, str], pd.Series] | None = None
    malignant: Callable[[pd.DataFrame, pd.Series], pd.Series] = isic_malignant.like_melanoma

    def find_ids(self, header: Iterable[str]) -> str:
        """The column of image ids as the file spells it; empty if the layout does not fit."""
        spelled = {name: header for header, name in common_names(header, ()).items()}
        if not self.required <= set(spelled) or (self.one_of and not self.one_of & set(spelled)):
            return ""
        return next((spelled[name] for name in self.image_id if name in spelled), "")


@dataclasses.dataclass(frozen=True)
class FoundLayout:
    """The layout of one file.

    Attributes:
        layout: The layout.
        image_id: Its column of image ids, as the file spells it.
    """

    layout: Layout
    image_id: str


def common_names(header: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Common name of each column, compared without case; of several with one name the preferred."""
    listed = list(header)
    spelled = {column.strip().casefold(): column for column in reversed(listed)}
    used = set(taken)
    names: dict[str, str] = {}
    for common, headers in _HEADERS.items():
        column = next((spelled[h] for h in headers if h in spelled), None)
        if column is not None and common not in used:
            names[column] = common
            used.add(common)
    for column in listed:
        names.setdefault(column, f"{column}_2" if column in used else column)
    return {column: names[column] for column in listed}


def headerless(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    """Names of the columns of a challenge file that has no header, or None if it is none.

    ISIC-2016 published image ids and a label, and nothing above them.
    """
    pairs = [row for row in (header, *rows) if len(row) == 2]
    if len(header) != 2 or 2 * len(pairs) <= len(rows) or not ISIC_ID.fullmatch(header[0]):
        return None
    return ("image_id", "melanoma") if header[1].casefold() in _LABELS_2016 else None


def recognise(table: pd.DataFrame, path: Path) -> FoundLayout:
    """Finds the layout of a file.

    Raises:
        DataError: The columns fit no known layout.
    """
    header = [str(name) for name in table.columns]
    found = find_layout(header)
    if found is not None:
        return found
    known = "; ".join(
        f"{y.name} ({', '.join([y.image_id[0], *sorted(y.required or y.one_of)])})" for y in LAYOUTS
    )
    raise DataError(
        f"{path}: not a layout of ISIC metadata; it has {name_some(header, 12)}; "
        f"known: {known}; for other tables use kind: table"
    )


def find_layout(header: Sequence[str]) -> FoundLayout | None:
    """The first layout that fits, or None."""
    for layout in LAYOUTS:
        ids = layout.find_ids(header)
        if ids:
            return FoundLayout(layout, ids)
    return None


def translate(
    table: pd.DataFrame, found: FoundLayout, path: Path
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Gives the columns of a file (text, NaN for missing) their common names.

    Returns:
        Table with `image_id` as the file has it, common and remaining columns, and `melanoma` and
        `malignant` (1.0, 0.0, NaN) where the file knows a diagnosis; and the common name of every
        column.

    Raises:
        DataError: A label holds what it cannot hold.
    """
    others = [str(name) for name in table.columns if name != found.image_id]
    names = {**common_names(others, {"image_id"}), found.image_id: "image_id"}
    renamed = table.rename(columns=names)
    if found.layout.melanoma is not None:
        melanoma = found.layout.melanoma(renamed, str(path))
        malignant = found.layout.malignant(renamed, melanoma)
        renamed = renamed.assign(melanoma=melanoma, malignant=malignant)
    return renamed, names


def role_of_type(image_type: str) -> str:
    """How an image was taken, by the archive's `image_type`, in the words of the collections.

    Total body photographs are cut into tiles; what is neither these, dermoscopic nor a clinical
    close-up (an overview, a confocal image) is called what the archive calls it.
    """
    text = image_type.strip().casefold()
    if text.startswith("dermoscop"):
        return DERMOSCOPIC
    if text in ("clinical: close-up", "clinical"):
        return CLOSE_UP
    return TOTAL_BODY if text.startswith("tbp tile") else text


def _from_column(column: str) -> Callable[[pd.DataFrame, str], pd.Series]:
    def melanoma(table: pd.DataFrame, where: str) -> pd.Series:
        return parse_binary(table[column], _LABELS_2016, f"{where}: column {column!r}")

    return melanoma


def _from_dx(table: pd.DataFrame, where: str) -> pd.Series:
    """HAM10000: `mel` against the other six classes; some mirrors spell them out."""
    melanoma = table["dx"].str.fullmatch("mel|melanoma", case=False, na=False).astype(float)
    return melanoma.where(table["dx"].notna())


def _from_one_hot(table: pd.DataFrame, where: str) -> pd.Series:
    """ISIC-2018 and 2019 ground truth: exactly one class is 1; `UNK` is no diagnosis."""
    classes = [c for c in table.columns if c in CLASSES]
    flags = pd.DataFrame({c: parse_binary(table[c], {}, f"{where}: column {c!r}") for c in classes})
    wrong = table.loc[flags.sum(axis=1) != 1, "image_id"]
    if len(wrong):
        raise DataError(
            f"{where}: {counted(len(wrong), 'image has', 'images have')} not exactly one class: "
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


_HEADERS: Mapping[str, tuple[str, ...]] = {
    "age": ("age", "age_approx", "age_approximate", "approximate_age", "age_at_diagnosis"),
    "sex": ("sex", "gender"),
    "anatomical_site": (
        *("anatomical_site", "anatom_site_general_challenge", "anatom_site_general"),
        *("anatom_site_1", "localization", "localisation", "anatomical_location", "body_site"),
    ),
    "fitzpatrick": ("fitzpatrick", "fitzpatrick_skin_type", "skin_type"),
    "personal_history": ("personal_history", "personal_hx_mm"),
    "family_history": ("family_history", "family_hx_mm"),
    "licence": ("licence", "copyright_license", "license"),
    "patient_id": ("patient_id", "patient", "patientid"),
    "lesion_id": ("lesion_id", "lesion", "lesionid"),
    **{
        name: (name.casefold(),)
        for name in (
            *("isic_id", "image_name", "image_id", "image", "target", "dx", "melanoma"),
            *("benign_malignant", "attribution", "image_type", "mel_class", "diagnosis"),
            *(f"diagnosis_{k}" for k in range(1, 6)),
            *CLASSES,
        )
    },
}
"""Common names, and what files call them in lower case, preferred first."""

_LABELS_2016 = {"benign": "0", "malignant": "1", "0": "0", "1": "1", "0.0": "0", "1.0": "1"}
"""Labels of ISIC-2016, all of whose malignant lesions are melanomas, and of later files."""


def _layout(
    name: str,
    image_id: str,
    required: str = "",
    melanoma: Callable[[pd.DataFrame, str], pd.Series] | None = None,
    one_of: str = "",
    malignant: Callable[[pd.DataFrame, pd.Series], pd.Series] = isic_malignant.like_melanoma,
) -> Layout:
    ids, needed, further = image_id.split(), required.split(), one_of.split()
    return Layout(name, tuple(ids), frozenset(needed), frozenset(further), melanoma, malignant)


# The first that fits counts, so the more specific come first.
LAYOUTS: tuple[Layout, ...] = (
    _layout(
        "archive metadata", "isic_id", "", _from_diagnosis, malignant=isic_malignant.from_archive
    ),
    _layout("ISIC-2020 ground truth", "image_name", "target", _from_column("target")),
    _layout("ISIC-2020 metadata", "image_name", "patient_id"),
    _layout("HAM10000 metadata", "image_id", "dx", _from_dx, malignant=isic_malignant.from_dx),
    _layout(
        "ISIC-2018/2019 ground truth",
        "image",
        " ".join(_CLASSES_2018),
        _from_one_hot,
        malignant=isic_malignant.from_one_hot,
    ),
    _layout("ISIC-2017 ground truth", "image_id", "melanoma", _from_column("melanoma")),
    _layout("ISIC-2017 metadata", "image_id", "age sex"),
    _layout(
        "archive image list",
        "image",
        "benign_malignant diagnosis",
        _from_diagnosis,
        malignant=isic_malignant.from_archive,
    ),
    _layout("ISIC-2019 metadata", "image", "age sex"),
    _layout(
        "image metadata",
        "image_id image image_name",
        one_of="age sex anatomical_site lesion_id patient_id",
    ),
)
