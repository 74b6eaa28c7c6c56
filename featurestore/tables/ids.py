"""What every table must have: its columns, and ids that stand once."""

from __future__ import annotations

import pandas as pd

from featurestore.errors import DataError, name_some


def require_columns(table: pd.DataFrame, names: tuple[str, ...] | list[str], where: str) -> None:
    """Raises DataError if `table` lacks any of the columns."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(f"{where} lacks the columns {name_some(missing)}")


def require_unique(ids: pd.Series, what: str) -> None:
    """Raises DataError that names the ids which stand more than once."""
    repeated = sorted(set(ids[ids.duplicated()].astype(str)))
    if repeated:
        raise DataError(f"duplicate {what}: {name_some(repeated)}")
