"""Spans of time as people say them."""

from __future__ import annotations

YEAR = 365.25
MONTH = YEAR / 12
DAYS_UNTIL = 120
"""Days up to which a span is said in days."""

MONTHS_UNTIL = 2 * YEAR
"""Days up to which a span that is no whole number of years is said in months."""


def span(days: float) -> str:
    """A span in years, months or days: `5 years`, `18.5 months`, `90 days`."""
    years = days / YEAR
    if years >= 1 and abs(years - round(years)) < 0.005:
        return _said(f"{years:.0f}", "year")
    if days <= DAYS_UNTIL:
        return _said(f"{days:.0f}", "day")
    if days < MONTHS_UNTIL:
        return _said(f"{days / MONTH:.1f}".removesuffix(".0"), "month")
    return _said(f"{years:.1f}", "year")


def _said(number: str, unit: str) -> str:
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
