"""The order of rows, when who knows the order of the original must learn nothing from it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.export.base import ExportTable

NAMING = ("patient", "image", "lesion", "any_id", "digest")
"""Roles of columns that pseudonyms stand in."""


def in_order_of_pseudonyms(table: ExportTable) -> ExportTable:
    """Sorts the rows by pseudonyms, and by all other values where those are equal.

    The order is one of the values alone: tables with the same rows in whatever order become the
    same table, also where no column holds a pseudonym.
    """
    frame = table.frame.reset_index(drop=True)
    named = [c for c in frame.columns if c in table.notes and table.notes[c].role in NAMING]
    keys = [*named, *(c for c in frame.columns if c not in named)]
    if not keys:
        return table
    texts = pd.DataFrame({k: _text(frame[c]) for k, c in enumerate(keys)})
    codes = [np.unique(texts[k].to_numpy(dtype=object), return_inverse=True)[1] for k in texts]
    order = np.lexsort(codes[::-1])
    return dataclasses.replace(
        table,
        frame=frame.iloc[order].reset_index(drop=True),
        reasons={name: np.asarray(codes)[order] for name, codes in table.reasons.items()},
    )


def _text(values: pd.Series) -> pd.Series:
    """Every value as a text, a missing one as an empty text."""
    return values.astype(object).where(values.notna(), "").map(str)
