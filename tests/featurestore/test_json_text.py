"""JSON is what the standard says, or a few words say why not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.json_text import parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner),
)


@given(VALUES)
def test_what_the_standard_allows_is_read(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 1}', "'a' stands twice"),
        ('[{"b": {"a": 1, "a": 2}}]', "'a' stands twice"),
        ('{"a": NaN}', "NaN is no JSON; write null"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("1e999", "beyond the range"),
        ("[-1E400]", "beyond the range"),
        ("9" * 5000, "beyond the range"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\uDFFF": 1}', "lone surrogate"),
        ('[["\\ud83d x"]]', "lone surrogate"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xed\xa0\x80", "no UTF-8"),
        (b"\xff\xfe{\x00}\x00", "no UTF-8"),
        ("{", "Expecting"),
    ],
)
def test_what_it_does_not_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_whole_characters_of_two_halves_are_read() -> None:
    assert parse_json('"\\ud83d\\ude00"') == "😀"
    assert parse_json(b"\xef\xbb\xbf{}") == {}
