"""Makes one row out of several that describe the same thing, and reports where they disagree."""

from __future__ import annotations

import pandas as pd

from featurestore.tables.exclusions import exclusions_table


def first_known(
    rows: pd.DataFrame, key: str, order: list[str], columns: list[str], stage: str, rule: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Takes for every key and column the first known value, never a mean.

    Args:
        rows: Table with the columns `key`, `order` and `columns`.
        key: Column that names what the rows describe.
        order: Columns to sort by within a key; they decide which row comes first.
        columns: Columns to take.
        stage: Stage for the exclusions.
        rule: What `order` means, in words (`first image by id`), for the exclusions.

    Returns:
        A table with one row a key (sorted, `key` then `columns`), and an exclusions table with one
        `value` row for every key and column with different known values.
    """
    ordered = rows.sort_values([key, *order], kind="stable")
    by_key = ordered.groupby(key, sort=True)
    merged = by_key[columns].first().reset_index() if columns else by_key.size().reset_index()
    reports = []
    for column in columns:
        known = ordered.loc[ordered[column].notna(), [key, column]]
        distinct = known.drop_duplicates().groupby(key)[column].apply(list)
        for name, values in distinct[distinct.map(len) > 1].items():
            others = ", ".join(_shown(v) for v in values[1:])
            reports.append(
                (
                    "value",
                    str(name),
                    stage,
                    f"{column}: {_shown(values[0])} kept ({rule}), others say {others}",
                )
            )
    return merged[[key, *columns]], exclusions_table(reports)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
