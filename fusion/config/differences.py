"""What differs between configurations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.config import Section

ABSENT = ""
"""Text of a setting that a configuration does not have."""


def flat(config: Section) -> dict[str, str]:
    """Every setting as text, by its name as `--set` takes it; lists are one setting."""
    return dict(_settings(config.model_dump(mode="json"), ""))


def differing(configs: Sequence[Section], but: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Settings that are not the same everywhere, with their texts, one a configuration.

    Args:
        configs: The configurations.
        but: Settings that are left out, with all below them.
    """
    found = [flat(config) for config in configs]
    names = dict.fromkeys(name for one in found for name in one)
    asked = (n for n in names if not any(n == b or n.startswith(f"{b}.") for b in but))
    texts = {name: tuple(one.get(name, ABSENT) for one in found) for name in asked}
    return {name: own for name, own in texts.items() if len(set(own)) > 1}


def usual(texts: Sequence[str]) -> str:
    """The text that most have; of several the one that stands first."""
    return Counter(texts).most_common(1)[0][0]


def _settings(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        below = ((f"{name}.{key}" if name else str(key), one) for key, one in value.items())
        return [pair for key, one in below for pair in _settings(one, key)]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return [(name, text)]
