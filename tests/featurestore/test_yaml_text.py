"""YAML is bounded before it is built, a repeated key is an error, and words can stay text."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.config import Section, Text, load_config
from featurestore.yaml_text import MAX_LEVELS, MAX_VALUES, parse_yaml, parse_yaml_words

LAUGHS = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}, *a{k - 1}]" for k in range(1, 40))]
)


def test_plain_values_aliases_and_merges_are_read() -> None:
    text = "a: &a {x: 1, y: [2, 3]}\nb: *a\nc: {<<: *a, x: 4}\nd: 2020-01-31\ne: 1e-3\n"
    assert parse_yaml(text) == {
        "a": {"x": 1, "y": [2, 3]},
        "b": {"x": 1, "y": [2, 3]},
        "c": {"x": 4, "y": [2, 3]},
        "d": "2020-01-31",
        "e": "1e-3",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("x: {a: 1, a: 1}", "the key 'a' stands twice"),
        (LAUGHS, f"more than {MAX_VALUES:,} values"),
        ("- a\n" * 200_000, f"more than {MAX_VALUES:,} values"),
        ("[" * 500_000, f"more than {MAX_LEVELS} levels"),
        ("a: &a [*a]", "stands for nothing yet"),
        ("a: *b", "stands for nothing yet"),
        ("x: " + "9" * 5000, "4300"),
        ("x: !!float ''", "does not fit its value"),
        ("x: !!timestamp x", "does not fit its value|timestamp"),
        ("x: !!python/name:os.system", "could not determine a constructor"),
        ("[a]: 1", "unhashable"),
    ],
)
def test_what_is_not_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("ab: -#&*!", max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner),
    )
)
def test_what_is_written_is_read(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@settings(max_examples=300)
@given(st.text("ab:-[]{},&*!?|>#'\"%@ \n012.~<", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_yaml(text)
    except ValueError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


class Words(Section):
    name: str
    positive: tuple[Text, ...] = ()
    share: float = 0.5
    trials: int = 3
    tuned: bool = False
    missing: str | None = "x"


@pytest.mark.parametrize(
    "word", ["yes", "No", "on", "OFF", "true", "2020-01-01", "0060", "12:30", "1_000", "1.0", "1e3"]
)
def test_words_are_what_they_look_like(tmp_path: Path, word: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"name: {word}\npositive: [{word}, other]\n")
    config = load_config(Words, path, [f"positive.1={word}"])
    assert (config.name, config.positive) == (word, (word, word))


def test_the_schema_makes_numbers_and_truth_of_them(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("name: a\nshare: .25\ntrials: 7\ntuned: yes\nmissing: ~\n")
    assert load_config(Words, path) == Words(
        name="a", share=0.25, trials=7, tuned=True, missing=None
    )


def test_merge_keys_and_nothing_remain() -> None:
    text = "a: &a {k: 1, j: }\nb: {<<: *a, k: 2}\nc: null\n2020-01-01: d\n"
    assert parse_yaml_words(text) == {
        "a": {"k": "1", "j": None},
        "b": {"k": "2", "j": None},
        "c": None,
        "2020-01-01": "d",
    }


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12))
def test_what_is_dumped_is_read_back(word: str) -> None:
    assert parse_yaml_words(yaml.safe_dump({"w": [word]})) == {"w": [word]}


def test_dates_of_programs_are_no_surprise() -> None:
    assert parse_yaml_words(yaml.safe_dump({"d": date(2020, 1, 1)})) == {"d": "2020-01-01"}
