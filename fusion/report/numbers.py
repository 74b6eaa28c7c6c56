"""How numbers are written: the one place that rounds."""

from __future__ import annotations

import math

from fusion.evidence import Estimate

NOTHING = "—"
"""Stands where a number is not defined."""


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits; a dash where it is not defined."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else f"{0:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A difference, always with its sign."""
    text = number(value, digits)
    return text if text == NOTHING or value < 0 or not float(text) else f"+{text}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """The bounds alone, `[low, high]`; a dash where there are none."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return NOTHING
    return f"[{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def with_interval(estimate: Estimate | None, digits: int = 3, sign: bool = False) -> str:
    """A value and its bounds, `0.812 [0.774, 0.848]`."""
    if estimate is None or not math.isfinite(estimate.value):
        return NOTHING
    value = signed(estimate.value, digits) if sign else number(estimate.value, digits)
    bounds = interval(estimate, digits)
    return value if bounds == NOTHING else f"{value} {bounds}"


def took(seconds: float | None) -> str:
    """Seconds, whole from ten on; a dash where nobody looked at the clock."""
    return number(seconds, 0 if seconds is not None and seconds >= 9.95 else 1)


def p_value(p: float | None) -> str:
    """A p value; small ones as `< 0.001`."""
    if p is None or not math.isfinite(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else number(p)
