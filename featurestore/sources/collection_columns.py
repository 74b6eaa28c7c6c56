"""Types the columns that a collection offers as predictors."""

from __future__ import annotations

import dataclasses

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources.collections import Collection
from featurestore.tables import (
    BINARY_TEXTS,
    Column,
    DataDictionary,
    Parsed,
    exclusions_table,
    find_gaps,
    joined_gaps,
    known_text,
    no_gaps,
    parse_binary,
    parse_levels,
    parse_numbers,
    rejected_values,
)


@dataclasses.dataclass(frozen=True)
class TypedRows:
    """Rows of a collection with typed columns.

    Attributes:
        rows: One row an image; the predictors under their own names.
        dictionary: What they are.
        exclusions: Values that were no values, and columns that are left out.
        unmapped: `file: column` of the columns that are left out.
        gaps: Why values are missing.
    """

    rows: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame
    unmapped: tuple[str, ...]
    gaps: pd.DataFrame


def typed_columns(collection: Collection, rows: pd.DataFrame, stage: str) -> TypedRows:
    """Types the predictors that the rows have.

    A value that its column cannot hold is missing and reported; a column without any value that
    it can hold is left out and reported.

    Args:
        collection: Says which columns there may be.
        rows: Text by header in lower case, NaN where missing.
        stage: Stage for the exclusions.
    """
    values: dict[str, pd.Series] = {}
    entries: list[Column] = []
    unmapped: list[str] = []
    excluded, gaps = [exclusions_table()], [no_gaps()]
    for column in collection.found_columns(rows.columns):
        header = column.source_column
        text = known_text(
            rows[header],
            collection.missing.get(column.name, ()),
            named=column.levels,
            guessed=True,
        )
        if not text.values.notna().any():
            unmapped.append(f"{collection.title}: {header}")
            excluded.append(exclusions_table([("column", header, stage, "never known")]))
            continue
        try:
            parsed = _parsed(collection, column, text.values)
        except DataError as error:
            unmapped.append(f"{collection.title}: {header}")
            excluded.append(exclusions_table([("column", header, stage, str(error))]))
            continue
        values[column.name] = parsed.values
        expected = "a number" if column.kind == "numeric" else f"a level of {column.label}"
        excluded.append(
            rejected_values(parsed.rejected, rows["image_id"], column.name, stage, expected)
        )
        ids = rows["patient_id"]
        rejected = parsed.rejected.index
        gaps.append(find_gaps(column.name, rows[header], text.values, rejected, ids))
        levels = column.levels
        if column.kind == "nominal" and not levels:
            levels = tuple(sorted(parsed.values.dropna().unique()))
        entries.append(dataclasses.replace(column, levels=levels, missing_tokens=text.tokens))
    rest = rows[[name for name in rows.columns if name not in values]]
    return TypedRows(
        pd.concat([rest, pd.DataFrame(values, index=rows.index)], axis=1),
        DataDictionary(entries),
        pd.concat(excluded, ignore_index=True),
        tuple(unmapped),
        joined_gaps(gaps),
    )


def _parsed(collection: Collection, column: Column, texts: pd.Series) -> Parsed:
    """Typed values of one column, and the texts that are none.

    Raises:
        DataError: None of the texts is a value.
    """
    where = f"{collection.title}, column {column.source_column!r}"
    if column.kind == "numeric":
        return parse_numbers(texts, where)
    spellings = {level.casefold(): level for level in column.levels}
    spellings |= collection.spellings.get(column.name, {})
    allowed = list(BINARY_TEXTS) if column.kind == "binary" else list(spellings)
    strange = texts.notna() & ~texts.str.casefold().isin(allowed) & bool(allowed)
    rejected = texts[strange]
    if len(rejected) == texts.notna().sum():
        raise DataError(
            f"{where}: none of its values is understood: {name_some(sorted(set(rejected)))}"
        )
    known = texts.mask(strange).astype("str")
    if column.kind == "binary":
        return Parsed(parse_binary(known, {}, where), rejected)
    if not column.levels:  # texts that differ in case only are one level
        known = known.str.casefold()
    return Parsed(parse_levels(known, column.levels, spellings, where), rejected)
