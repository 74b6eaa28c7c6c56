"""Finds pairs of columns that look like a time to an event: a time, and what ended it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNITS = {"d": "days", "day": "days", "days": "days", "mo": "months", "month": "months"}
_UNITS |= {"months": "months", "yr": "years", "year": "years", "years": "years"}
_TIME = re.compile(rf"(.+?)[ ._-]?(time|{'|'.join(sorted(_UNITS, key=len, reverse=True))})", re.I)
_ENDS = ("", "event", "status", "cens", "censor", "censored", "indicator")
_MOST = 3


def paired_times(columns: Sequence[str]) -> tuple[str, ...]:
    """Definitions of outcomes that pairs of columns allow, as one line of YAML each.

    Whether the names mean what they seem to, a person has to say; nothing is taken from here.

    Args:
        columns: Names in the patients table.
    """
    by_name = {_plain(name): name for name in columns}
    found = []
    for name in columns:
        match = _TIME.fullmatch(name)
        if match is None:
            continue
        stem = _plain(match.group(1))
        ends = (by_name.get(stem + _plain(end)) for end in _ENDS)
        event = next((end for end in ends if end is not None and end != name), None)
        if event is not None:
            unit = _UNITS.get(match.group(2).casefold(), "days, months or years")
            found.append(
                f"outcome: {{name: {stem}, kind: time_to_event, time: {name}, event: {event}, "
                f"unit: {unit}, horizons: [2y, 5y]}}"
            )
    return tuple(found[:_MOST])


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
