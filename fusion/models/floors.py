"""What every report must beat: the floors, and the clinical reference."""

from __future__ import annotations

import dataclasses
import re

from featurestore.tables import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.models.registry import find_model, names_of

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


def with_floors(
    arms: tuple[Arm, ...], modalities: tuple[Modality, ...], dictionary: DataDictionary
) -> tuple[Arm, ...]:
    """Adds the clinical reference and the floors behind the arms that were asked for.

    A floor that is an arm already is not added again. A cohort without Breslow thickness,
    ulceration and demographics gets no clinical reference.

    Args:
        arms: Arms of the ablation.
        modalities: All modalities.
        dictionary: Patient columns.
    """
    have = {arm.model for arm in arms}
    added = []
    columns = reference_columns(dictionary)
    for model in names_of("clinical reference", "floor"):
        kind = find_model(model)
        if model in have:
            continue
        if kind.role == "clinical reference":
            if columns is not None:
                added.append(Arm(model, model, _holding(columns, modalities, dictionary)))
        else:
            added.append(Arm(model, model, modalities if kind.permuted else ()))
    return (*arms, *added)


def _holding(
    columns: ReferenceColumns, modalities: tuple[Modality, ...], dictionary: DataDictionary
) -> tuple[Modality, ...]:
    """Modalities that the columns belong to, or one of their own where none has them."""
    holding = tuple(m for m in modalities if set(columns.names) & set(m.columns(dictionary)))
    if holding:
        return holding
    groups = dict.fromkeys(dictionary[name].group for name in columns.names)
    return (Modality("clinical", groups=tuple(groups)),)


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
