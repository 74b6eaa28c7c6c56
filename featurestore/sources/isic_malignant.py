"""Whether a lesion of an ISIC file is malignant, which is more than whether it is a melanoma.

Actinic keratoses count as not malignant. Where one class holds them together with carcinomas in
situ (AKIEC of HAM10000 and ISIC-2018), or a file says no more than `indeterminate`, it is unknown.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_CANCER = r"melanoma|carcinoma|\bmel\b|\bbcc\b|\bscc\b|lymphoma|sarcoma"
_MIXED = r"akiec|actinic|bowen|intraepithelial"


def like_melanoma(table: pd.DataFrame, melanoma: pd.Series) -> pd.Series:
    """Challenges of 2016, 2017 and 2020: all of their malignant lesions are melanomas."""
    return melanoma.copy()


def from_dx(table: pd.DataFrame, melanoma: pd.Series) -> pd.Series:
    """HAM10000: `mel` and `bcc` against the others; `akiec` is unknown."""
    text = table["dx"].str.casefold()
    malignant = text.str.contains(_CANCER, na=False).astype(float)
    return malignant.mask(text.isna() | text.str.contains(_MIXED, na=False))


def from_one_hot(table: pd.DataFrame, melanoma: pd.Series) -> pd.Series:
    """ISIC-2018 and 2019: MEL, BCC and SCC; where AK has a class of its own it is not malignant."""

    def flag(name: str) -> pd.Series:
        if name not in table.columns:
            return pd.Series(False, index=table.index)
        return pd.to_numeric(table[name], errors="coerce") == 1

    malignant = (flag("MEL") | flag("BCC") | flag("SCC")).astype(float)
    return malignant.mask(flag("UNK") | flag("AKIEC"))


def from_archive(table: pd.DataFrame, melanoma: pd.Series) -> pd.Series:
    """Archive: `diagnosis_1`, else the older `benign_malignant`; a melanoma is malignant."""
    malignant = pd.Series(np.nan, index=table.index)
    for column in ("benign_malignant", "diagnosis_1"):
        if column not in table.columns:
            continue
        text = table[column].str.casefold()
        known = text.map({"malignant": 1.0, "benign": 0.0}).astype(float)
        malignant = known.where(text.notna(), malignant)
    keratosis = pd.Series(False, index=table.index)
    for column in ("diagnosis_2", "diagnosis_3", "diagnosis_4", "diagnosis_5"):
        if column in table.columns:
            keratosis |= table[column].str.contains("actinic keratosis", case=False, na=False)
    malignant = malignant.mask(malignant.isna() & keratosis, 0.0)
    return malignant.mask(malignant.isna() & (melanoma == 1.0), 1.0)
