"""What kind of lesion a diagnosis names, whatever a collection calls it.

Diagnoses are codes (`bkl`, `NV`), words (`Clark nevus`) or paths through the archive's hierarchy
(`Benign::Benign melanocytic proliferations::Nevus`). The first pattern that fits decides.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from featurestore.outcomes.lesion_classes import LESION_CLASS

_UNKNOWN = "unknown"
_NO_NEVUS = re.compile("not melanocytic nevus")
_PATTERNS: tuple[tuple[str, str], ...] = (
    (_UNKNOWN, r"^(unk|unknown|undecided)$|collision|atypical melanocytic|\bAIMP\b"),
    ("akiec", r"^akiec$|actinic keratos[ie]s.*(intraepithelial|bowen|carcinoma)"),
    ("actinic_keratosis", r"^(ak|ack)$|actinic keratos|solar keratos"),
    (_UNKNOWN, r"\bindeterminate"),
    ("melanoma", r"^mel$|melanoma|lentigo maligna"),
    ("bcc", r"^bcc$|basal cell carcinoma"),
    ("scc", r"^(scc|sccka|bod)$|squamous cell carcinoma|keratoacanthoma|bowen|intraepidermal carc"),
    ("benign_keratosis", r"^(bkl|sek)$|seborr?h?o?eic keratos|solar lentigo"),
    ("benign_keratosis", r"benign (lichenoid )?keratos|lichen(oid| planus).*keratos"),
    ("dermatofibroma", r"^df$|dermatofibroma"),
    (
        "vascular_lesion",
        r"^vasc$|vascular lesion|angioma|angiokeratoma|pyogenic granuloma|- vascular",
    ),
    ("other", r"sebaceous|sebaceus|epidermal nevus|becker"),
    ("nevus", r"^(nv|nev)$|\bnev(us|i)\b|naev"),
    ("malignant", r"^malignant$|^malignant\b.*proliferations?[^:]*$"),
    ("benign", r"^benign$|^benign\b.*proliferations?[^:]*$"),
    ("other", r"\S"),
)
"""Class and what its diagnoses look like, the more specific first."""


def lesion_classes(diagnoses: pd.Series) -> pd.Series:
    """The class of each diagnosis (`featurestore.outcomes.lesion_classes`); missing if unknown."""
    known = {text: _class_of(text) for text in diagnoses.dropna().unique()}
    return diagnoses.map(known).astype("str").rename(LESION_CLASS)


def _class_of(diagnosis: str) -> str | float:
    text = _NO_NEVUS.sub("", str(diagnosis).strip().casefold())
    found = next((name for name, p in _PATTERNS if re.search(p, text, re.IGNORECASE)), _UNKNOWN)
    return np.nan if found == _UNKNOWN else found


def isic_lesion_classes(table: pd.DataFrame) -> pd.Series:
    """The class of each row of ISIC files with common names, `melanoma` and `malignant`.

    Where no diagnosis is told, a lesion is what these two say: a melanoma, malignant or benign.
    """
    text = _told(table)
    melanoma, malignant = table["melanoma"], table["malignant"]
    told = lesion_classes(text)
    rest = text.isna()
    told = told.mask(rest & (malignant == 0.0), "benign").mask(
        rest & (malignant == 1.0), "malignant"
    )
    if "seborrheic_keratosis" in table.columns:  # ISIC-2017: melanoma, this, and nevi
        keratosis = pd.to_numeric(table["seborrheic_keratosis"], errors="coerce")
        told = told.mask(rest & (keratosis == 1), "benign_keratosis")
        told = told.mask(rest & (keratosis == 0) & (melanoma == 0), "nevus")
    return told.mask(rest & (melanoma == 1.0), "melanoma")


def _told(table: pd.DataFrame) -> pd.Series:
    """The diagnosis in words or code, where the file has one."""
    absent = pd.Series(pd.NA, index=table.index, dtype="str")
    one_hot = [c for c in ("MEL", *ONE_HOT) if c in table.columns]
    if "MEL" in one_hot and "NV" in one_hot:
        flags = table[one_hot].apply(pd.to_numeric, errors="coerce").fillna(0.0)
        return flags.idxmax(axis=1).where(flags.sum(axis=1) == 1).astype("str")
    if "dx" in table.columns:
        return table["dx"].astype("str")
    path = absent
    for column in (f"diagnosis_{k}" for k in range(1, 6)):
        if column in table.columns:
            own = table[column].astype("str")
            path = (path + "::" + own).where(path.notna() & own.notna(), path.fillna(own))
    older = table["diagnosis"].astype("str") if "diagnosis" in table.columns else absent
    return path.fillna(older.mask(older.str.casefold().isin(["unknown", "nos"])))


ONE_HOT = ("NV", "BCC", "AK", "AKIEC", "BKL", "DF", "VASC", "SCC", "UNK")
"""Columns of one-hot diagnoses beside `MEL`."""
