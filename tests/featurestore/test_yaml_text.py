"""Unquoted YAML words stay text, so that a table's words can be named as they are."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from featurestore.config import Section, Text, load_config
from featurestore.yaml_text import parse_yaml_words


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
    text = "a: &a {k: 1, j:}\nb: {<<: *a, k: 2}\nc: null\n2020-01-01: d\n"
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
