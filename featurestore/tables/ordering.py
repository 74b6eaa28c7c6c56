"""Where the levels of an ordinal column lie: most are one step from the next, some are not.

A level that contains finer ones (stage II: IIA, IIB and IIC) lies where they do on average, not
below the first of them. T0, no primary tumour found, is no depth at all: its patients had a tumour
that regressed or was never seen, so it has no place and counts as missing where numbers are needed.
The levels themselves stay as they are in tables and exports.
"""

from __future__ import annotations

import functools
import re

_FINER = re.compile(r"(?P<coarse>.*[0-9IVX])[A-Da-d]")
"""A level with a letter behind its number, as AJCC divides stages and T, N and M."""

_NO_PRIMARY = re.compile(r"[cpy]?T0", re.IGNORECASE)
_DEPTHS = re.compile(r"[cpy]?T(?:is|[1-4]).*", re.IGNORECASE)


@functools.lru_cache(maxsize=256)
def spans(levels: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """First and last place of each level; those that contain no others lie one step apart, from 0.

    Args:
        levels: In ascending order; a level that contains others may stand anywhere among them.

    Returns:
        By level; those without a place are left out.
    """
    placed = [level for level in levels if not _is_placeless(level, levels)]
    finer: dict[str, list[str]] = {}
    for level in placed:
        match = _FINER.fullmatch(level)
        if match is not None and match["coarse"] in placed:
            finer.setdefault(match["coarse"], []).append(level)
    finest = {level: float(k) for k, level in enumerate(x for x in placed if x not in finer)}
    found = {}
    for level in placed:
        own = [finest[x] for x in finer.get(level, [level])]
        found[level] = min(own), max(own)
    return found


def places(levels: tuple[str, ...]) -> dict[str, float]:
    """Place of each level: of one that contains finer ones, the mean of theirs.

    Args:
        levels: In ascending order.

    Returns:
        By level; those without a place are left out.
    """
    return {level: (low + high) / 2 for level, (low, high) in spans(levels).items()}


def _is_placeless(level: str, levels: tuple[str, ...]) -> bool:
    return bool(_NO_PRIMARY.fullmatch(level)) and any(map(_DEPTHS.fullmatch, levels))
