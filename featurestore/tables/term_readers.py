"""How the text of a canonical column becomes values: by spellings, patterns, ranges, yes and no.

A text that is no value is rejected and reported; a column none of whose texts is understood is not
the column that it is said to be.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

import pandas as pd

from featurestore.errors import DataError
from featurestore.tables.dictionary import Column
from featurestore.tables.parsing import BINARY_TEXTS, Parsed, parse_numbers

Reader = Callable[[pd.Series, str], Parsed]
"""Text with NaN for missing, and file and column for messages -> typed values and rejected texts.
Raises DataError where a column cannot be what it is said to be."""


@dataclasses.dataclass(frozen=True)
class Term:
    """One canonical column.

    Attributes:
        column: Its dictionary entry, without source column and missing tokens.
        read: How its texts become values.
    """

    column: Column
    read: Reader


def choices(table: Mapping[str, str]) -> Reader:
    """Reads texts by a table of spellings (case, spaces and punctuation do not matter)."""
    known = {_plain(text): level for text, level in table.items()}

    def read(texts: pd.Series, where: str) -> Parsed:
        values = texts.map(lambda text: known.get(_plain(text)), na_action="ignore")
        return _checked(texts, values.astype("str"), where)

    return read


def levels_by_pattern(pattern: str, levels: tuple[str, ...], absent: str) -> Reader:
    """Reads texts whose level is the first group of a pattern.

    Args:
        pattern: Regular expression over the text without spaces, without case.
        levels: Allowed levels.
        absent: Pattern of texts that say that no level was assigned; they are missing.
    """
    spelling = {level.casefold(): level for level in levels}
    matcher, nothing = re.compile(pattern, re.IGNORECASE), re.compile(absent, re.IGNORECASE)

    def level_of(text: str) -> str | None:
        match = matcher.fullmatch(re.sub(r"\s+", "", text))
        return spelling.get(match.group(1).casefold()) if match else None

    def read(texts: pd.Series, where: str) -> Parsed:
        compact = texts.str.replace(r"\s+", "", regex=True)
        unassigned = compact.map(lambda t: isinstance(t, str) and bool(nothing.fullmatch(t)))
        stated = texts.mask(unassigned.astype(bool))
        return _checked(stated, stated.map(level_of, na_action="ignore").astype("str"), where)

    return read


def binary(texts: pd.Series, where: str) -> Parsed:
    """Reads yes and no."""
    values = texts.map(lambda text: BINARY_TEXTS.get(text.casefold()), na_action="ignore")
    return _checked(texts, values.astype(float), where)


def binary_with(yes: tuple[str, ...], no: tuple[str, ...]) -> Reader:
    """Reads yes and no, and further words for them."""
    known = BINARY_TEXTS | {_plain(t): 1.0 for t in yes} | {_plain(t): 0.0 for t in no}

    def read(texts: pd.Series, where: str) -> Parsed:
        values = texts.map(
            lambda text: known.get(_plain(text), known.get(text.casefold())), na_action="ignore"
        )
        return _checked(texts, values.astype(float), where)

    return read


def numbers_between(low: float, high: float) -> Reader:
    """Reads numbers in a range; one outside is no measurement and is rejected."""

    def read(texts: pd.Series, where: str) -> Parsed:
        parsed = parse_numbers(texts, where)
        outside = parsed.values.notna() & ~parsed.values.between(low, high)
        rejected = texts[outside | texts.index.isin(parsed.rejected.index)]
        return Parsed(parsed.values.mask(outside), rejected)

    return read


def _checked(texts: pd.Series, values: pd.Series, where: str) -> Parsed:
    """Rejects the texts without a value; none understood at all is a wrong column."""
    rejected = texts[texts.notna() & values.isna()]
    known = texts.notna().sum()
    if known and len(rejected) == known:
        examples = ", ".join(repr(t) for t in sorted(set(rejected))[:3])
        raise DataError(
            f"{where}: none of its {known} values is understood, for example {examples}"
        )
    return Parsed(values, rejected)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", str(text)).casefold()
