"""Columns that a clinician decides by: what clinical references are fitted on."""

from __future__ import annotations

import dataclasses
import re

from featurestore.tables import Column, DataDictionary

PREDICTORS: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = (
    ("Breslow thickness", re.compile(r"breslow|tumou?r thickness"), ("numeric",)),
    ("ulceration", re.compile(r"ulcerat"), ("binary", "nominal", "ordinal")),
    ("age", re.compile(r"\bage\b"), ("numeric",)),
)
"""Predictors of the clinical reference: what they are, how a column's name, label or source says
so (words separated by spaces, lower case), and the kinds that can hold them."""

ANCHORS = ("Breslow thickness", "ulceration")
"""Without one of these a cohort has no staging predictors, and demographics stand in."""

DEMOGRAPHIC = "demographic"

STAGE = re.compile(r"^(ajcc )?(pathologic |clinical |path )?(tumou?r )?stage\b(?! code)")
"""How a column says that it is the stage; those of tumour, nodes and metastases are others."""


@dataclasses.dataclass(frozen=True)
class ReferenceColumns:
    """Columns of the clinical reference.

    Attributes:
        names: Columns, in the order of `PREDICTORS` or of the dictionary.
        basis: What they stand for, for people.
    """

    names: tuple[str, ...]
    basis: str


def reference_columns(dictionary: DataDictionary) -> ReferenceColumns | None:
    """Finds Breslow thickness, ulceration and age; else demographics; None without either."""
    found = {
        what: column.name
        for what, pattern, kinds in PREDICTORS
        if (column := find_predictor(dictionary, pattern, kinds)) is not None
    }
    if any(anchor in found for anchor in ANCHORS):
        return ReferenceColumns(tuple(found.values()), " + ".join(found))
    names = tuple(c.name for c in dictionary.features() if c.group == DEMOGRAPHIC)
    return ReferenceColumns(names, "demographics") if names else None


def stage_columns(dictionary: DataDictionary) -> ReferenceColumns | None:
    """Finds the AJCC stage, which is one column of levels; None without it."""
    column = find_predictor(dictionary, STAGE, ("ordinal", "nominal"))
    return None if column is None else ReferenceColumns((column.name,), "stage")


def find_predictor(
    dictionary: DataDictionary, pattern: re.Pattern[str], kinds: tuple[str, ...]
) -> Column | None:
    """The first usable column whose name, label or source speaks of something.

    Args:
        dictionary: Patient columns.
        pattern: Over words that are separated by spaces, in lower case.
        kinds: Kinds that can hold it.
    """
    for column in dictionary.features():
        words = " ".join((column.name, column.label, column.source_column))
        if column.kind in kinds and pattern.search(re.sub(r"[_\W]+", " ", words).casefold()):
            return column
    return None
