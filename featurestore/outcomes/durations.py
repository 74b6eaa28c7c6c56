"""Units of time and how durations are written: times are kept in days since time zero.

A month has 30.4375 and a year 365.25 days (the Julian year, of which a month is a twelfth), as in
the tables of cBioPortal and of TCGA.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from featurestore.errors import DataError

TimeUnit = Literal["days", "months", "years"]
TIME_UNITS: tuple[str, ...] = get_args(TimeUnit)
DAYS_IN: dict[str, float] = {"days": 1.0, "months": 30.4375, "years": 365.25}
"""Days in one of each unit."""

_COUNTED = {"years": 1000, "months": 36}
_LETTERS = {"d": "days", "m": "months", "mo": "months", "y": "years"} | {u: u for u in TIME_UNITS}
_LETTERS |= {unit.removesuffix("s"): unit for unit in TIME_UNITS}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Days of a duration such as `2y`, `18m` or `90d`.

    Raises:
        DataError: It is no duration, or none that is longer than nothing.
    """
    found = _DURATION.fullmatch(text)
    unit = _LETTERS.get(found.group(2).casefold()) if found else None
    if found is None or unit is None or float(found.group(1)) <= 0:
        raise DataError(f"{text!r} is no duration; write it as 2y, 18m or 90d")
    return float(found.group(1)) * DAYS_IN[unit]


def duration_words(days: float) -> str:
    """Days for people: in full years or months where they are such, else in days or years."""
    for unit in ("years", "months"):
        count = days / DAYS_IN[unit]
        if 1 <= count <= _COUNTED[unit] and abs(count - round(count)) < 1e-9:
            return f"{count:.0f} {unit if round(count) != 1 else unit.removesuffix('s')}"
    if days >= 2 * DAYS_IN["years"]:
        return f"{days / DAYS_IN['years']:.1f} years"
    return f"{days:,.0f} {'day' if round(days) == 1 else 'days'}"
