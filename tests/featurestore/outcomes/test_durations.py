"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.outcomes.durations import duration_words, parse_duration


@pytest.mark.parametrize(
    ("text", "days"),
    [("2y", 730.5), ("18m", 547.875), ("90d", 90), ("1 year", 365.25), ("0.5Y", 182.625)],
)
def test_durations(text: str, days: float) -> None:
    assert parse_duration(text) == days


@pytest.mark.parametrize("text", ["", "2", "y", "-2y", "0d", "2 weeks", "2y 3m", "1e3d", "nan d"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is no duration; write it as 2y, 18m or 90d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (365.25, "1 year"),
        (1826.25, "5 years"),
        (547.875, "18 months"),
        (1, "1 day"),
        (700, "700 days"),
        (2630, "7.2 years"),
    ],
)
def test_words(days: float, words: str) -> None:
    assert duration_words(days) == words


@given(st.integers(1, 200), st.sampled_from(["years", "months", "days"]))
def test_words_of_whole_units_read_back(count: int, unit: str) -> None:
    days = parse_duration(f"{count} {unit}")
    assert abs(parse_duration(duration_words(days).replace(",", "")) - days) <= 18.3
