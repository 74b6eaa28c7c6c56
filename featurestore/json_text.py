"""JSON of other people, read as RFC 8259 and I-JSON (RFC 7493) have it.

Python's own reader takes more: of a repeated name the last value, `NaN` and numbers beyond any
range, half characters that nothing can write again. Each of these is an error here.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str | bytes) -> Any:
    """Parses JSON.

    Args:
        text: The text; bytes are UTF-8, with or without byte order mark.

    Raises:
        ValueError: It is none; the message says why in a few words.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8 text") from None
    if _HALF.search(text):
        _require_whole_characters(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {ascii(twice)[:60]} stands twice in one object")
    return made


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON; write null for a missing value")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is beyond the range of numbers")
    return number


def _whole(text: str) -> int:
    if len(text) > 300:
        raise ValueError(f"{text[:20]}… is beyond the range of numbers")
    return int(text)


def _require_whole_characters(value: Any) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            try:
                one.encode()
            except UnicodeEncodeError:
                raise ValueError("a text has half a character (a lone surrogate)") from None
