"""Text becomes typed values; what is missing or unreadable is told apart and named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables.parsing import (
    known_text,
    parse_binary,
    parse_levels,
    parse_numbers,
    rejected_values,
)


def texts(*values: str | None) -> pd.Series:
    return pd.Series(list(values), dtype="str")


def test_missing_tokens_without_case_and_between_bars() -> None:
    column = texts(
        "", "NA", "[not available]|[Not Available]", "'--", "None", "N/a", "-", "x|NA", "-1"
    )
    known = known_text(column)
    assert known.values.dropna().tolist() == ["None", "x|NA", "-1"]
    assert known.tokens == ("'--", "-", "N/a", "NA", "[not available]|[Not Available]")


def test_further_tokens() -> None:
    known = known_text(texts("Unknown", "male"), ("unknown",))
    assert known.values.isna().tolist() == [True, False]
    assert known.tokens == ("Unknown",)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_are_read_exactly(numbers: list[float]) -> None:
    parsed = parse_numbers(texts(*map(repr, numbers)), "t")
    assert parsed.values.tolist() == numbers
    assert parsed.rejected.empty


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (("0,5", "12,75", "3"), [0.5, 12.75, 3]),
        (("1,234", "0,5"), [1.234, 0.5]),  # 0,5 groups no thousands
        (("0,123",), [0.123]),
        ((",5",), [0.5]),
        (("1e3", "+2", "-.5", "7."), [1000, 2, -0.5, 7]),
    ],
)
def test_number_forms(column: tuple[str, ...], values: list[float]) -> None:
    assert parse_numbers(texts(*column), "t").values.tolist() == values


@pytest.mark.parametrize("bad", ["1,234", ">20", "1_000", "inf", "1e999", "0x10", "5 mm", "½"])
def test_a_few_texts_that_are_no_numbers_are_rejected(bad: str) -> None:
    parsed = parse_numbers(texts("1.5", None, bad), "t")
    np.testing.assert_array_equal(parsed.values, [1.5, np.nan, np.nan])
    assert parsed.rejected.to_dict() == {2: bad}
    table = rejected_values(parsed.rejected, texts("a", "b", "c"), "age", "read")
    assert table["id"].tolist() == ["c"]
    assert table["reason"].tolist() == [f"age: {bad!r} is not a number; missing"]


def test_a_comma_that_may_be_either_is_not_guessed() -> None:
    with pytest.raises(
        DataError, match=r"in 2 of 2 values a point or comma may be .* \('1,234', '5,678'\)"
    ):
        parse_numbers(texts("1,234", "5,678"), "t")


def test_a_column_of_words_is_an_error() -> None:
    with pytest.raises(DataError, match="column 'sex' is read as numbers, but 4 of 5"):
        parse_numbers(texts("male", "female", "male", "male", "1"), "t.csv: column 'sex'")


def test_a_column_without_any_value_is_missing() -> None:
    assert parse_numbers(texts(None, None), "t").values.isna().all()


def test_levels_are_recoded_and_spelled_as_declared() -> None:
    column = texts("stage ia", "IIb", None)
    levels = parse_levels(column, ("Stage IA", "Stage IIB"), {"IIB": "Stage IIB"}, "t")
    assert levels.fillna("?").tolist() == ["Stage IA", "Stage IIB", "?"]


def test_unknown_levels_are_named() -> None:
    with pytest.raises(
        DataError, match="t holds 'Stage 0', 'X', which is none of the levels I, II"
    ):
        parse_levels(texts("I", "X", "Stage 0"), ("I", "II"), {}, "t")


def test_binary_texts() -> None:
    column = texts("YES", "false", "1", "ulcerated", None)
    parsed = parse_binary(column, {"Ulcerated": "1"}, "t")
    np.testing.assert_array_equal(parsed, [1, 0, 1, 1, np.nan])
    with pytest.raises(DataError, match="'maybe'"):
        parse_binary(texts("maybe"), {}, "t")
