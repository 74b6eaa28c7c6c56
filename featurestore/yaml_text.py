"""YAML of other people: plain values only, bounded before anything is built.

YAML turns unquoted words into truth, octal numbers and dates before anybody knows what the key
wants (`yes`, `0060`, `2020-01-01`). Where a schema says what each key is, they stay text until then
(`parse_yaml_words`); only an empty value, `~` and `null` are nothing.

A few lines of YAML can stand for billions of values (aliases of aliases) or for more levels than a
reader can climb; of a repeated key the last value would win without a word.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml

from featurestore.errors import one_line

MAX_LEVELS = 50
MAX_VALUES = 100_000

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """Plain values; a date is the text that was written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise yaml.YAMLError(f"line {line}: the key {key.value[:60]!r} stands twice")
                seen.add((key.tag, key.value))
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


class _TextLoader(_Loader):
    """Nothing, merge keys and text; no other plain scalars."""


_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NOTHING = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
for _loader, _kept in (
    (_Loader, lambda tag: tag != _TIMESTAMP),
    (_TextLoader, lambda tag: tag in _NOTHING),
):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if _kept(tag)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse_yaml(text: str) -> Any:
    """Parses one YAML document; a date is the text that was written.

    Raises:
        ValueError: It is none, stands for too much, or has a key twice; the message is one line.
    """
    return _parsed(text, _Loader)


def parse_yaml_words(text: str) -> Any:
    """Parses one YAML document whose unquoted words stay text, for a schema to read.

    Raises:
        ValueError: It is none, stands for too much, or has a key twice; the message is one line.
    """
    return _parsed(text, _TextLoader)


def _parsed(text: str, loader: Any) -> Any:
    try:
        _require_bounded(text)
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(one_line(error, 300)) from None
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"a tag (!!…) does not fit its value ({error!r})"[:300]) from None


@dataclasses.dataclass
class _Part:
    """A value that is being read: how many values it stands for, and how many levels."""

    anchor: str | None = None
    values: int = 1
    levels: int = 1

    def add(self, inner: _Part) -> None:
        self.values += inner.values
        self.levels = max(self.levels, 1 + inner.levels)


def _require_bounded(text: str) -> None:
    """Counts what the text stands for, aliases written out, without building it."""
    open_parts, known = [_Part()], dict[str, _Part]()
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.CollectionStartEvent):
            open_parts.append(_Part(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = open_parts.pop()
            known |= {} if done.anchor is None else {done.anchor: done}
            open_parts[-1].add(done)
        elif isinstance(event, yaml.ScalarEvent):
            known |= {} if event.anchor is None else {event.anchor: _Part()}
            open_parts[-1].add(_Part())
        elif isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            if name not in known:
                raise yaml.YAMLError(f"the alias *{name[:40]} stands for nothing yet")
            open_parts[-1].add(known[name])
        if max(len(open_parts), open_parts[-1].levels) > MAX_LEVELS:
            raise yaml.YAMLError(f"it is nested more than {MAX_LEVELS} levels deep")
        if open_parts[-1].values > MAX_VALUES:
            raise yaml.YAMLError(f"it stands for more than {MAX_VALUES:,} values")
