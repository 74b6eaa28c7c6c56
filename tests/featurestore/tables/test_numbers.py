"""What points and commas mean is decided once a column, and doubt is never read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables.numbers import find_marks, is_unclear, read_number, read_numbers
from featurestore.tables.parsing import parse_numbers


def read(*texts: str) -> list[float]:
    column = pd.Series(list(texts), dtype="str")
    return [float(v) for v in read_numbers(column, find_marks(column))]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("1.234,5", "1.234", "7"), [1234.5, 1234, 7]),  # German
        (("1,234.5", "1,234", "7"), [1234.5, 1234, 7]),  # English
        (("12.345.678", "1.234"), [12345678, 1234]),
        (("12,345,678", "1,234"), [12345678, 1234]),
        (("1.234", "0,5"), [1234, 0.5]),  # the comma is decimal, so the point groups
        (("1'234.5", "12'345"), [1234.5, 12345]),  # Swiss
        (("1 234,5", "1\u202f234"), [1234.5, 1234]),  # French, SI
        (("1.5", "1.234"), [1.5, 1.234]),
        (("0.123", "1.234", "850"), [0.123, 1.234, 850]),
        (("1.125", "2", "3"), [1.125, 2, 3]),  # values of one size
    ],
)
def test_marks_are_read_as_the_column_has_them(texts: tuple[str, ...], values: list[float]) -> None:
    assert read(*texts) == values


@pytest.mark.parametrize("texts", [("850", "920", "1.234"), ("1,234", "5,678"), ("120", "1.200")])
def test_marks_that_may_mean_either_are_asked_about(texts: tuple[str, ...]) -> None:
    column = pd.Series(list(texts), dtype="str")
    values = read_numbers(column, find_marks(column))
    assert [t for t, v in zip(texts, values, strict=True) if np.isnan(v)] == [
        t for t in texts if is_unclear(t)
    ]


def test_the_question_names_the_column_and_what_to_do() -> None:
    texts = pd.Series(["850", "920", *("1.234",) * 8], dtype="str")
    with pytest.raises(DataError, match=r"column 'ldh'.*'1\.234'.*write the numbers without"):
        parse_numbers(texts, "t.csv: column 'ldh'")


def test_both_marks_may_be_decimal_but_then_nothing_groups() -> None:
    values = read("1.5", "0,5", "1.234", "1,234", "1.234,5")
    np.testing.assert_array_equal(values, [1.5, 0.5, np.nan, np.nan, 1234.5])


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([".", ","]))
def test_grouped_numbers_are_read_or_refused_never_changed(numbers: list[int], mark: str) -> None:
    texts = [f"{n:,}".replace(",", mark) for n in numbers]
    column = pd.Series([*texts, f"1{mark}234{mark}567"], dtype="str")
    assert read_numbers(column, find_marks(column)).tolist() == [*map(float, numbers), 1234567.0]


@settings(deadline=None)
@given(st.lists(st.decimals(-1000, 1000, places=2), min_size=1))
def test_decimal_commas_mean_the_same_as_points(numbers: list[object]) -> None:
    points = [str(n) for n in numbers]
    assert read(*points, "0.25") == read(*(p.replace(".", ",") for p in points), "0,25")


@pytest.mark.parametrize(
    ("text", "number"),
    [("2,5", 2.5), ("1.234", 1.234), ("1,234", None), ("1.234,5", 1234.5), ("x", None), ("", None)],
)
def test_one_number_by_itself(text: str, number: float | None) -> None:
    assert read_number(text) == number
