"""Predictions of outsiders that lie in a run's folder: kept until the folds or the data change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from featurestore.errors import DataError
from featurestore.sealed import read_sealed_table, seal_of, write_sealed_table

_MADE_FOR = "made_for"


def keep(folder: Path, name: str, rows: pd.DataFrame, digest: str) -> None:
    """Keeps the rows of one outsider; earlier ones of the same name are replaced.

    Args:
        folder: Where they are kept.
        name: Name of the arm.
        rows: Rows of the predictions table.
        digest: Names data and folds.

    Raises:
        DataError: The disk is full or refuses to write.
    """
    path = _path(folder, name)
    try:
        write_sealed_table(path, rows.assign(**{_MADE_FOR: digest}))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def drop(folder: Path, name: str) -> bool:
    """Forgets the rows of one outsider; False if there are none."""
    path = _path(folder, name)
    there = path.exists()
    for file in (path, seal_of(path)):
        file.unlink(missing_ok=True)
    return there


def kept(folder: Path, digest: str) -> Iterator[tuple[str, pd.DataFrame | None]]:
    """Every outsider by name, with his rows; None where they are of other data or folds.

    Raises:
        DataError: A file is damaged.
    """
    for path in sorted(folder.glob("*.parquet")):
        rows = read_sealed_table(path, "delete it, and score the predictions again")
        own = rows.drop(columns=_MADE_FOR)
        yield str(rows["arm"].iloc[0]), own if (rows[_MADE_FOR] == digest).all() else None


def _path(folder: Path, name: str) -> Path:
    return folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.parquet"
