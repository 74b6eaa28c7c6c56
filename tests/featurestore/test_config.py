"""Configuration errors name the key, the value and what is allowed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest

from featurestore.config import Section, dump_config, load_config, validate
from featurestore.errors import ConfigError, redacted


class Apple(Section):
    kind: Literal["apple"]
    crunch: int = 1


class Pear(Section):
    kind: Literal["pear"]
    juice: float = 0.5


class Basket(Section):
    name: str
    size: int = pydantic.Field(3, ge=1)
    colour: Literal["red", "green"] = "red"
    fruits: tuple[Annotated[Apple | Pear, pydantic.Field(discriminator="kind")], ...] = ()
    extra: dict[str, Apple] | None = None


def load(tmp_path: Path, text: str, *overrides: str) -> Basket:
    path = tmp_path / "basket.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(Basket, path, overrides)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nsise: 4", "unknown key 'sise'; did you mean 'size'?"),
        ("name: a\nsise: 4", "allowed: colour, extra, fruits, name, size"),
        ("size: 4", "key 'name' is required"),
        ("name: a\nsize: 0", "size = 0: input should be greater than or equal to 1"),
        ("name: a\nsize: many", "size = 'many'"),
        ("name: a\ncolour: blue", "colour = 'blue': input should be 'red' or 'green'"),
        ("name: a\nfruits: [{kind: plum}]", "'apple', 'pear'"),
        ("name: a\nfruits: [{kind: pear, crunch: 1}]", "allowed: juice, kind"),
        ("name: a\nfruits: [{kind: pear, juice: much}]", "fruits.0.juice = 'much'"),
        ("- name", "this holds a list"),
        ("", "this holds nothing"),
        ("name: [unclosed", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert said in message
    assert "basket.yaml" in message
    assert "\n" not in message


def test_a_missing_or_binary_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(Basket, tmp_path / "none.yaml")
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00")
    with pytest.raises(ConfigError, match="not a UTF-8 text"):
        load_config(Basket, tmp_path / "image.jpg")


def test_overrides_reach_nested_keys_and_list_items(tmp_path: Path) -> None:
    basket = load(
        tmp_path,
        "name: a\nfruits: [{kind: apple}]",
        "size=7",
        "fruits.0.crunch=9",
        "extra.one={kind: apple, crunch: 2}",
    )
    assert basket.size == 7
    assert basket.fruits[0] == Apple(kind="apple", crunch=9)
    assert basket.extra == {"one": Apple(kind="apple", crunch=2)}


@pytest.mark.parametrize(
    "override", ["size", "=3", "name.deeper=1", "fruits.4.crunch=1", "fruits.x=1", "size=[1"]
)
def test_malformed_overrides_are_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, "name: a\nfruits: [{kind: apple}]", override)


def test_an_override_is_validated_like_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'sizes'"):
        load(tmp_path, "name: a", "sizes=3")


def test_the_dump_loads_to_the_same_config(tmp_path: Path) -> None:
    basket = load(tmp_path, "name: a\nfruits: [{kind: pear, juice: 0.25}]")
    assert load(tmp_path, dump_config(basket)) == basket


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nname: b", "line 2: the key 'name' stands twice"),
        ("name: " + "[" * 4000, "nested more than 50 levels"),
        ("name: !!float ''", "not valid YAML"),
        ("1: a", "basket"),
        ("null: a", "basket"),
    ],
)
def test_hostile_files_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "basket.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        load_config(Basket, tmp_path / "basket.yaml")
    assert "\n" not in str(error.value)


def test_a_pipe_is_no_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "basket.yaml")
    with pytest.raises(ConfigError, match="it is a pipe or a device"):
        load_config(Basket, tmp_path / "basket.yaml")


def test_passwords_are_written_nowhere(tmp_path: Path) -> None:
    class Place(Section):
        url: str
        port: int = 1

    url = "postgresql+psycopg2://me:pa55/@host:5432/x"
    made = validate(Place, {"url": "postgresql://me:secret@host/x"}, "here")
    assert "secret" not in dump_config(made)
    assert "postgresql://me:***@host/x" in dump_config(made)
    with pytest.raises(ConfigError) as error:
        validate(Place, {"url": "a", "port": "mysql://me:secret@host/x"}, "here")
    assert "secret" not in str(error.value)
    assert redacted(url.replace("/@", "@")) == "postgresql+psycopg2://me:***@host:5432/x"
