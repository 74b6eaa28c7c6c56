"""Turns a table of text into canonical columns, and says what it did not understand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from featurestore.errors import DataError
from featurestore.tables import (
    Column,
    DataDictionary,
    exclusions_table,
    find_gaps,
    known_text,
    no_gaps,
    rejected_values,
    unassigned,
)
from featurestore.tables.merging import disagree
from featurestore.tables.vocabulary import find_term, levels_of


@dataclasses.dataclass(frozen=True)
class CanonicalColumns:
    """The canonical columns of one table.

    Attributes:
        values: One typed column per dictionary entry; index of the table.
        dictionary: What each column is, with the header it came from.
        exclusions: Values that could not be read, and values on which two columns of the file
            disagree.
        unmapped: Headers that were not used, in the order of the file.
        gaps: Why values are missing (`featurestore.tables.gaps`), under the ids that were given.
    """

    values: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame
    unmapped: tuple[str, ...]
    gaps: pd.DataFrame


def read_canonical(
    table: pd.DataFrame,
    headers: Mapping[str, Sequence[str]],
    ids: pd.Series,
    path: Path,
    stage: str = "read",
    missing: Iterable[str] = (),
    used: Iterable[str] = (),
) -> CanonicalColumns:
    """Reads the canonical columns that a table has.

    Args:
        table: Table of text.
        headers: For each canonical name the headers it may have, the preferred one first; compared
            without case. Where several are there, the first known value counts and differences are
            reported.
        ids: Id of each row, for the exclusions; index of the table.
        path: The file, for messages.
        stage: Stage for the exclusions.
        missing: Further texts that mean missing.
        used: Headers that the reader uses otherwise (ids); they are not listed as unmapped.

    A column none of whose texts is understood is left out, and reported as unmapped and among the
    exclusions: that it is there must not stop the others.
    """
    spelled = {str(name).casefold(): str(name) for name in table.columns}
    taken = {name.casefold() for name in used}
    values: dict[str, pd.Series] = {}
    entries, excluded, gaps = [], [exclusions_table()], [no_gaps()]
    for name, candidates in headers.items():
        found = [spelled[h.casefold()] for h in candidates if h.casefold() in spelled]
        if not found:
            continue
        read = []
        for header in list(found):
            try:
                read.append(_read_one(name, table[header], ids, path, stage, missing))
            except DataError as error:
                found.remove(header)
                excluded.append(exclusions_table([("column", header, stage, str(error))]))
        if not found:
            continue
        taken.update(h.casefold() for h in found)
        merged, conflicts = _first_known(name, [r.values for r in read], found, ids, stage)
        values[name] = merged
        excluded += [*(r.exclusions for r in read), conflicts]
        gaps += [r.gaps for r in read]
        entries.append(_entry(name, merged, found, {t for r in read for t in r.tokens}))
    frame = pd.DataFrame(values, index=table.index)
    unmapped = tuple(str(c) for c in table.columns if str(c).casefold() not in taken)
    exclusions = pd.concat(excluded, ignore_index=True)
    joined = pd.concat(gaps, ignore_index=True)
    return CanonicalColumns(frame, DataDictionary(entries), exclusions, unmapped, joined)


@dataclasses.dataclass(frozen=True)
class _ReadColumn:
    values: pd.Series
    tokens: tuple[str, ...]
    exclusions: pd.DataFrame
    gaps: pd.DataFrame


def _read_one(
    name: str, texts: pd.Series, ids: pd.Series, path: Path, stage: str, missing: Iterable[str]
) -> _ReadColumn:
    term = find_term(name)
    text = known_text(_without_repeats(texts, missing), missing, guessed=True)
    parsed = term.read(text.values, f"{path}: column {texts.name!r}")
    column = term.column
    levels = f" of {column.label}" if column.label else ""
    expected = "a number" if column.kind in ("numeric", "expression") else f"a level{levels}"
    if column.kind == "numeric":
        expected = f"a plausible {column.label.lower()}" + (
            f" in {column.unit}" if column.unit else ""
        )
    report = rejected_values(parsed.rejected, ids, f"{path.name}: {texts.name}", stage, expected)
    rejected = parsed.rejected.index
    silent = parsed.values.index[text.values.notna() & parsed.values.isna()].difference(rejected)
    found = find_gaps(name, texts, text.values, rejected, ids)
    gaps = pd.concat([found, unassigned(name, silent, ids)])
    return _ReadColumn(parsed.values, text.tokens, report, gaps)


def _without_repeats(texts: pd.Series, missing: Iterable[str]) -> pd.Series:
    """Shortens `Trunk|Trunk` and `Trunk|[Not Available]`, as portals join records, to `Trunk`.

    Parts that disagree stay as they are: no term has them as a level, so they are reported.
    """
    barred = texts.str.contains("|", regex=False, na=False)
    if not barred.any():
        return texts
    single = {}
    for text in texts[barred].unique():
        parts = pd.Series([part.strip() for part in text.split("|")], dtype="str")
        known = known_text(parts, missing, guessed=True).values.dropna().unique()
        single[text] = str(known[0]) if len(known) == 1 else text
    return texts.replace(single)


def _first_known(
    name: str, columns: list[pd.Series], found: list[str], ids: pd.Series, stage: str
) -> tuple[pd.Series, pd.DataFrame]:
    merged = columns[0]
    rows = []
    years = find_term(name).column.unit == "years"
    for header, other in zip(found[1:], columns[1:], strict=True):
        differing = merged.notna() & other.notna() & (merged != other)
        rows += [
            ("value", str(ids[k]), stage, f"{name}: {merged[k]} kept, {header} says {other[k]}")
            for k in merged.index[differing]
            if disagree(merged[k], other[k], years)
        ]
        merged = merged.where(merged.notna(), other)
    return merged, exclusions_table(rows)


def _entry(name: str, values: pd.Series, found: list[str], tokens: set[str]) -> Column:
    column = find_term(name).column
    levels = column.levels
    if column.kind == "nominal" and not levels:
        levels = levels_of(values)
    return dataclasses.replace(
        column,
        levels=levels,
        source_column=" | ".join(found),
        missing_tokens=tuple(sorted(tokens)),
    )
