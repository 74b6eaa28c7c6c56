"""Turns text into typed values, and says of every value that is missing or cannot be one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables.exclusions import exclusions_table
from featurestore.tables.numbers import Marks, find_marks, is_unclear, read_numbers

MISSING_TOKENS = (
    *("", "-", "--", "'--", "na", "n/a", "n.a.", "nan", "<na>", "null", "(null)", "\\n"),
    *("#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#n/v", "#nv"),
    *("not reported", "[not available]", "[not applicable]", "[not evaluated]", "[unknown]"),
    *("[pending]", "[discrepancy]", "[completed]", "[null]", "[error]", "[not reported]"),
)
"""Texts that mean missing in any column, in lower case; cells are compared without case. A text
that a configuration names as a value is one, whatever it is."""

GUESSED_TOKENS = (
    *(".", "..", "...", "?", "??", "*", "_", "nil", "none", "missing", "unknown", "unk", "tbd"),
    *("nd", "n.d.", "not available", "not applicable", "not evaluated", "not assessed", "not done"),
    *("not known", "not recorded", "not documented", "not provided", "not stated", "not given"),
    *("not specified", "unspecified", "unavailable", "no data", "(blank)", "blank", "pending"),
)
"""Texts that mean missing in most columns, but may be a level of some; in lower case."""

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


def known_text(
    texts: pd.Series,
    extra: Iterable[str] = (),
    named: Iterable[str] = (),
    guessed: bool = False,
) -> KnownText:
    """Finds the missing values of a text column.

    Args:
        texts: Column of text.
        extra: Texts that mean missing in this column, beside `MISSING_TOKENS`; a cell that
            repeats tokens between bars (`[Not Available]|[Not Available]`) is missing too.
        named: Texts that somebody named as values of this column; they are no tokens.
        guessed: Whether `GUESSED_TOKENS` mean missing too: in columns whose values are numbers or
            come from a known list.
    """
    usual = {*MISSING_TOKENS, *(GUESSED_TOKENS if guessed else ())}
    tokens = usual - {text.strip().lower() for text in named if text.strip()}
    tokens |= {token.strip().lower() for token in extra}
    lowered = texts.str.lower()
    barred = lowered[lowered.str.contains("|", regex=False, na=False)].unique()
    tokens.update(text for text in barred if all(p.strip() in tokens for p in text.split("|")))
    missing = lowered.isin(tokens)
    found = texts[missing].dropna().unique()
    values = texts.mask(missing).astype("str")
    return KnownText(values, tuple(sorted(text for text in found if text)))


def parse_numbers(texts: pd.Series, where: str, marks: Marks | None = None) -> Parsed:
    """Reads numbers; what points and commas mean is decided over the whole column.

    Args:
        texts: Text with NaN for missing.
        where: File and column, for messages.
        marks: What points and commas mean, where it was decided over more than this column.

    Returns:
        Floats. A few texts that are no finite numbers are missing and rejected.

    Raises:
        DataError: More than a few texts are no numbers, or none is one.
    """
    values = read_numbers(texts, find_marks(texts) if marks is None else marks)
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
        if any(is_unclear(text) for text in texts):
            raise DataError(
                f"{where}: in {len(rejected)} of {known} values a point or comma may be decimal or "
                f"group thousands ({name_some([repr(t) for t in texts if is_unclear(t)])}); write "
                "the numbers without grouping marks"
            )
        raise DataError(
            f"{where} is read as numbers, but {len(rejected)} of {known} values are none: "
            f"{name_some([repr(t) for t in texts])}; list them under missing or change the kind"
        )
