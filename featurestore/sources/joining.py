"""Joins the patients of several sources, by id and in no other way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.images import ENDINGS, image_key
from featurestore.sources.spreading import lesions_of_all, spread
from featurestore.tables import Column, DataDictionary, exclusions_table, require_unique
from featurestore.tables.merging import first_known

if TYPE_CHECKING:  # the sources' package imports this module
    from featurestore.sources.base import SourceTables

_STAGE = "join"


@dataclasses.dataclass(frozen=True)
class JoinedSources:
    """Sources that describe the same people, joined.

    Attributes:
        tables: What each source yielded, with ids that mean one patient spelled alike.
        patients: One row a patient known to any source, sorted by id.
        images: One row an image of any source.
        dictionary: What the columns of patients are.
        conflicts: Exclusions table of the values that sources disagree on.
        notes: Sentences that every report prints.
        persons: Where rows are lesions, the patient of each by key, or the key where the patient is
            not known; else None.
    """

    tables: tuple[SourceTables, ...]
    patients: pd.DataFrame
    images: pd.DataFrame
    dictionary: DataDictionary
    conflicts: pd.DataFrame
    notes: tuple[str, ...] = ()
    persons: Mapping[str, str] | None = None


def join_sources(tables: Sequence[SourceTables], linkage: str) -> JoinedSources:
    """Joins patients and images of all sources.

    Where a source has lesions, rows of all of them become rows of lesions.

    Args:
        tables: What the sources yielded.
        linkage: `patient`, or `none` where there is nothing to join.

    Raises:
        DataError: See `join_patients`; or two sources have an image of one id.
    """
    alike, notes = with_shared_ids(tables)
    persons = None
    if any(table.of_lesions for table in alike):
        persons = lesions_of_all(alike)
        alike = spread(alike, persons)
    patients, dictionary, conflicts = join_patients(alike, linkage)
    images = pd.concat([table.images for table in alike], ignore_index=True)
    require_unique(images["image_id"], "image_id in the sources")
    return JoinedSources(tuple(alike), patients, images, dictionary, conflicts, notes, persons)


def id_key(text: str) -> str:
    """What ids that mean one patient have in common.

    Zeros in front and case are spelling, and so is how the file of an image is called, where images
    stand for patients.
    """
    if text.isdigit():
        return text.lstrip("0") or "0"
    return image_key(text, ENDINGS).casefold()


def with_shared_ids(
    tables: Sequence[SourceTables],
) -> tuple[list[SourceTables], tuple[str, ...]]:
    """Spells ids alike that differ between sources only in spelling (`id_key`).

    The spelling of the source listed first counts. Ids that one source itself tells apart are left
    as they are.

    Returns:
        The tables, and a sentence where ids were spelled anew.
    """
    owners: dict[str, dict[str, set[int]]] = {}
    for k, table in enumerate(tables):
        for text in _ids(table):
            owners.setdefault(id_key(text), {}).setdefault(text, set()).add(k)
    renamed: dict[str, str] = {}
    for spellings in owners.values():
        places = [k for where in spellings.values() for k in where]
        if len(spellings) < 2 or len(set(places)) < len(places):
            continue
        first = min(spellings, key=lambda text: min(spellings[text]))
        renamed |= {text: first for text in spellings if text != first}
    if not renamed:
        return list(tables), ()
    text, first = min(renamed.items())
    note = (
        f"{len(renamed)} patient ids are spelled differently in several sources ({text} and "
        f"{first}) and count as the same."
    )
    return [_renamed(table, renamed) for table in tables], (note,)


def _ids(table: SourceTables) -> set[str]:
    """Ids of a source's patients, and of its lesions where it has them."""
    persons = table.patients["person_id"] if table.of_lesions else ()
    return {*table.patients["patient_id"], *table.images["patient_id"], *persons}


def _renamed(table: SourceTables, names: dict[str, str]) -> SourceTables:
    def spelled(frame: pd.DataFrame) -> pd.DataFrame:
        columns = [c for c in ("patient_id", "person_id") if c in frame.columns]
        return frame.assign(
            **{c: frame[c].map(names).fillna(frame[c]).astype("str") for c in columns}
        )

    return dataclasses.replace(
        table,
        images=spelled(table.images),
        patients=spelled(table.patients),
        gaps=spelled(table.gaps),
    )


def join_patients(
    tables: Sequence[SourceTables], linkage: str
) -> tuple[pd.DataFrame, DataDictionary, pd.DataFrame]:
    """Joins all patients by id.

    A column that several sources give is one variable: the source listed first counts where it
    knows a value, and every difference is reported.

    Args:
        tables: What the sources yielded.
        linkage: `patient`, or `none` where there is nothing to join.

    Returns:
        One row a patient known to any source (sorted by id), the dictionary of all columns, and an
        exclusions table of the values that sources disagree on.

    Raises:
        DataError: Sources share no patient, two sources describe a column differently, or linkage
            is `none` and several sources have patients.
    """
    people = [_people(table) for table in tables]
    for table in people:
        require_unique(table["patient_id"], "patient_id in a source")
    _check_shared(tables, [set(table["patient_id"]) for table in people], linkage)
    dictionary = _merged_dictionary([table.dictionary for table in tables])
    if len(people) == 1:
        return (
            people[0].sort_values("patient_id", ignore_index=True),
            dictionary,
            exclusions_table(),
        )
    columns = list(dict.fromkeys(c for table in people for c in table.columns))
    columns.remove("patient_id")
    counts = pd.Series([c for t in people for c in t.columns]).value_counts()
    shared = [c for c in columns if counts[c] > 1]
    rows = pd.concat(
        [
            t[["patient_id", *(c for c in shared if c in t)]].assign(_source=k)
            for k, t in enumerate(people)
        ],
        ignore_index=True,
    )
    years = [column.name for column in dictionary if column.unit == "years"]
    joined, conflicts = first_known(
        rows, "patient_id", ["_source"], shared, _STAGE, "source listed first", years
    )
    for table in people:
        own = table[["patient_id", *(c for c in table.columns if c in columns and c not in shared)]]
        joined = joined.merge(own, on="patient_id", how="left", validate="one_to_one")
    return joined[["patient_id", *columns]], dictionary, conflicts


def _people(table: SourceTables) -> pd.DataFrame:
    """Patients of a source, with those that only its images name."""
    named = set(table.images["patient_id"]) - set(table.patients["patient_id"])
    if not named:
        return table.patients
    extra = pd.DataFrame({"patient_id": pd.Series(sorted(named), dtype="str")})
    return pd.concat([table.patients, extra], ignore_index=True)


def _check_shared(
    tables: Sequence[SourceTables], patients: Sequence[set[str]], linkage: str
) -> None:
    peopled = [k for k, ids in enumerate(patients) if ids]
    if len(peopled) < 2:
        return
    if linkage == "none":
        raise DataError(
            f"linkage none joins nothing, but {len(peopled)} sources have patients; use one "
            f"source, or linkage: patient"
        )
    for k in peopled:
        others = set().union(*(patients[j] for j in peopled if j != k))
        # Image sources may stand beside each other; a table without images needs a counterpart.
        if tables[k].images.empty and not patients[k] & others:
            raise DataError(
                f"source {k + 1} shares no patient id with the other sources (it has "
                f"{name_some(sorted(patients[k]), 3)}; they have {name_some(sorted(others), 3)}). "
                f"Rows are joined by patient id only, never by position. If no patient is in both, "
                f"the one other linkage is label_matched, which supports no claim about "
                f"patients"
            )


def _merged_dictionary(dictionaries: Sequence[DataDictionary]) -> DataDictionary:
    merged: dict[str, Column] = {}
    for column in (c for dictionary in dictionaries for c in dictionary):
        merged[column.name] = (
            _unified(merged[column.name], column) if column.name in merged else column
        )
    return DataDictionary(merged.values())


def _unified(first: Column, second: Column) -> Column:
    same = first.kind == second.kind and first.unit == second.unit
    if not same or (first.kind == "ordinal" and first.levels != second.levels):
        raise DataError(
            f"two sources give the column {first.name!r} as {_spoken(first)} and "
            f"{_spoken(second)}; rename it, or leave it out of one source"
        )
    levels = first.levels
    if first.kind == "nominal":
        levels = tuple(dict.fromkeys((*first.levels, *second.levels)))
    tokens = tuple(sorted({*first.missing_tokens, *second.missing_tokens}))
    return dataclasses.replace(first, levels=levels, missing_tokens=tokens)


def _spoken(column: Column) -> str:
    levels = f" of {', '.join(column.levels)}" if column.kind == "ordinal" else ""
    return f"{column.kind}{levels}" + (f" in {column.unit}" if column.unit else "")
