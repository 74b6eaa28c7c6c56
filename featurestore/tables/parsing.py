"""Turns text into typed values, and says of every value that is missing or cannot be one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables.exclusions import exclusions_table

MISSING_TOKENS = (
    "",
    "-",
    "--",
    "'--",
    "na",
    "n/a",
    "nan",
    "not reported",
    "[not available]",
    "[not applicable]",
    "[not evaluated]",
    "[unknown]",
    "[pending]",
    "[discrepancy]",
    "[completed]",
    "[null]",
    "[error]",
)
"""Texts that mean missing in any column, in lower case; cells are compared without case."""

BINARY_TEXTS = {
    "1": 1.0,
    "1.0": 1.0,
    "true": 1.0,
    "yes": 1.0,
    "y": 1.0,
    "0": 0.0,
    "0.0": 0.0,
    "false": 0.0,
    "no": 0.0,
    "n": 0.0,
}
"""Texts of a binary column, in lower case."""

# A numeric column may hold this many texts that are no numbers, or this share; more is an error.
_TOLERATED_TEXTS = 3
_TOLERATED_SHARE = 0.1

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DECIMAL_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(?:,\d{3})+"


@dataclasses.dataclass(frozen=True)
class KnownText:
    """A text column with its gaps.

    Attributes:
        values: Text, NaN where missing; same index as the input.
        tokens: Non-empty texts that were read as missing, as they stand in the file, sorted.
    """

    values: pd.Series
    tokens: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A typed column.

    Attributes:
        values: Typed values; same index as the input.
        rejected: The texts that could not be read and are missing in `values`.
    """

    values: pd.Series
    rejected: pd.Series


def known_text(texts: pd.Series, extra: Iterable[str] = ()) -> KnownText:
    """Finds the missing values of a text column.

    Args:
        texts: Column of text.
        extra: Texts that mean missing in this column, beside `MISSING_TOKENS`; a cell that
            repeats tokens between bars (`[Not Available]|[Not Available]`) is missing too.
    """
    tokens = {*MISSING_TOKENS, *(token.strip().lower() for token in extra)}
    lowered = texts.str.lower()
    barred = lowered[lowered.str.contains("|", regex=False, na=False)].unique()
    tokens.update(text for text in barred if all(p.strip() in tokens for p in text.split("|")))
    missing = lowered.isin(tokens)
    found = texts[missing].dropna().unique()
    values = texts.mask(missing).astype("str")
    return KnownText(values, tuple(sorted(text for text in found if text)))


def parse_numbers(texts: pd.Series, where: str) -> Parsed:
    """Reads numbers; a decimal comma is understood where the column leaves no doubt.

    A comma is decimal if no number of the column has a point and at least one has a comma that
    cannot group thousands (`0,5`, `12,75`).

    Args:
        texts: Text with NaN for missing.
        where: File and column, for messages.

    Returns:
        Floats. A few texts that are no finite numbers are missing and rejected.

    Raises:
        DataError: More than a few texts are no numbers, or none is one.
    """
    known = texts.dropna()
    plain = known.str.fullmatch(_NUMBER)
    comma = known.str.fullmatch(_DECIMAL_COMMA) & ~plain
    if comma.any():
        has_point = known[plain].str.contains(".", regex=False).any()
        if not has_point and not known[comma].str.fullmatch(_THOUSANDS).all():
            known = known.where(~comma, known.str.replace(",", ".", regex=False))
            plain |= comma
    values = pd.Series(np.nan, index=texts.index, dtype=float)
    numbers = known[plain].astype(float)
    numbers = numbers[np.isfinite(numbers)]
    values[numbers.index] = numbers
    rejected = texts[texts.notna() & values.isna()]
    _check_rejected(rejected, int(texts.notna().sum()), where)
    return Parsed(values, rejected)


def parse_levels(
    texts: pd.Series, levels: Sequence[str], recode: Mapping[str, str], where: str
) -> pd.Series:
    """Reads a column of levels.

    Args:
        texts: Text with NaN for missing.
        levels: Allowed levels; empty allows every text. Compared without case.
        recode: Level for a text of the file, compared without case.
        where: File and column, for messages.

    Returns:
        Text out of `levels`, NaN where missing.

    Raises:
        DataError: A text is no level.
    """
    spelling = {level.casefold(): level for level in levels}
    by_text = {raw.casefold(): level for raw, level in recode.items()}
    result: dict[str, str] = {}
    unknown = []
    for text in sorted(texts.dropna().unique()):
        level = by_text.get(text.casefold(), text)
        if levels and level.casefold() not in spelling:
            unknown.append(text)
        result[text] = spelling.get(level.casefold(), level)
    if unknown:
        raise DataError(
            f"{where} holds {name_some([repr(u) for u in unknown])}, which is none of the levels "
            f"{name_some(list(levels), 12)}; list it under levels, values or missing"
        )
    return texts.map(result).astype("str")


def parse_binary(texts: pd.Series, recode: Mapping[str, str], where: str) -> pd.Series:
    """Reads a yes/no column as 1.0, 0.0 and NaN.

    Args:
        texts: Text with NaN for missing.
        recode: `1` or `0` (or another of `BINARY_TEXTS`) for a text of the file.
        where: File and column, for messages.

    Raises:
        DataError: A text is neither yes nor no.
    """
    levels = parse_levels(texts, tuple(BINARY_TEXTS), recode, where)
    return levels.map(BINARY_TEXTS).astype(float)


def rejected_values(
    rejected: pd.Series, ids: pd.Series, column: str, stage: str, expected: str = "a number"
) -> pd.DataFrame:
    """Exclusions table of values that could not be read, under the id of their row."""
    rows = zip(ids[rejected.index], rejected, strict=True)
    return exclusions_table(
        [("value", str(i), stage, f"{column}: {t!r} is not {expected}; missing") for i, t in rows]
    )


def _check_rejected(rejected: pd.Series, known: int, where: str) -> None:
    limit = max(_TOLERATED_TEXTS, _TOLERATED_SHARE * known)
    if len(rejected) > limit or 0 < known == len(rejected):
        texts = sorted(set(rejected))
        raise DataError(
            f"{where} is read as numbers, but {len(rejected)} of {known} values are none: "
            f"{name_some([repr(t) for t in texts])}; list them under missing or change the kind"
        )
