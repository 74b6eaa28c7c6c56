"""Makes one row out of several that describe the same thing, and reports where they disagree."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd

from featurestore.errors import name_some
from featurestore.tables.exclusions import exclusions_table

_MOST_SHOWN = 5
"""Differing values that an exclusion names; of several hundred lesions there may be as many."""


def first_known(
    rows: pd.DataFrame,
    key: str,
    order: list[str],
    columns: list[str],
    stage: str,
    rule: str,
    years: Collection[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Takes for every key and column the first known value, never a mean.

    Args:
        rows: Table with the columns `key`, `order` and `columns`.
        key: Column that names what the rows describe.
        order: Columns to sort by within a key; they decide which row comes first.
        columns: Columns to take.
        stage: Stage for the exclusions.
        rule: What `order` means, in words (`first image by id`), for the exclusions.
        years: Columns in years, which people count in full ones.

    Returns:
        A table with one row a key (sorted, `key` then `columns`), and an exclusions table with one
        `value` row for every key and column with known values that `disagree`.
    """
    ordered = rows.sort_values([key, *order], kind="stable")
    by_key = ordered.groupby(key, sort=True)
    merged = by_key[columns].first().reset_index() if columns else by_key.size().reset_index()
    reports = []
    repeated = ordered[ordered[key].duplicated(keep=False)]  # of most keys there may be one row
    for column in columns:
        for name, values in differing_values(repeated, key, column):
            differing = [v for v in values[1:] if disagree(values[0], v, column in years)]
            if not differing:
                continue
            others = name_some([_shown(v) for v in differing], _MOST_SHOWN)
            reports.append(
                (
                    "value",
                    str(name),
                    stage,
                    f"{column}: {_shown(values[0])} kept ({rule}), others say {others}",
                )
            )
    return merged[[key, *columns]], exclusions_table(reports)


def differing_values(
    rows: pd.DataFrame, key: str, column: str
) -> Iterator[tuple[object, list[Any]]]:
    """Every key with several known values of a column, and these in the order of the rows."""
    known = rows.loc[rows[column].notna(), [key, column]].drop_duplicates()
    several = known[known[key].duplicated(keep=False)]
    yield from several.groupby(key)[column].apply(list).items()


def disagree(a: object, b: object, years: bool = False) -> bool:
    """Whether two known values say different things.

    A number agrees with the same number rounded to fewer decimals, and an age of 24.6 with the 24
    years that are full.
    """
    if a == b:
        return False
    if not isinstance(a, float | int) or not isinstance(b, float | int):
        return True
    fine, rough = sorted((float(a), float(b)), key=_decimals, reverse=True)
    places = _decimals(rough)
    if _decimals(fine) == places:
        return True
    return round(fine, places) != rough and not (years and math.floor(fine) == rough)


def _decimals(number: float) -> int:
    """Decimals that a number is written with."""
    _, _, decimals = f"{number:.10f}".rstrip("0").partition(".")
    return len(decimals)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
