"""Writing export tables so that a file under its final name is complete and right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from featurestore.atomic import replacing
from featurestore.errors import StoreError
from featurestore.export.base import Exporter, ExportTable
from featurestore.export.csv import CsvExporter


def write_tables(
    tables: Sequence[ExportTable], exporters: Sequence[Exporter], folder: Path
) -> list[Path]:
    """Writes every table in every format, with one `codebook.csv` for all.

    Each file is written under a temporary name, read back, compared cell by cell and only then
    renamed, so a file under its final name is complete and right.

    Returns:
        The paths written, codebook last.

    Raises:
        DataError: A column has no codebook entry.
        StoreError: A file could not be written, or reads back differently.
    """
    folder.mkdir(parents=True, exist_ok=True)
    codebook = pd.concat([table.codebook() for table in tables], ignore_index=True)
    written = [
        _write_checked(table.frame, exporter, folder / f"{table.name}{exporter.suffix}")
        for table in tables
        for exporter in exporters
    ]
    written.append(_write_checked(codebook, CsvExporter(), folder / "codebook.csv"))
    return written


def _write_checked(frame: pd.DataFrame, exporter: Exporter, path: Path) -> Path:
    frame = exporter.normalise(frame.reset_index(drop=True))
    try:
        with replacing(path) as temporary:
            exporter.write(frame, temporary)
            _compare(frame, exporter.read(temporary, frame), path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _compare(wrote: pd.DataFrame, read: pd.DataFrame, path: Path) -> None:
    if list(wrote.columns) != list(read.columns) or len(wrote) != len(read):
        raise StoreError(f"{path}: reads back with another shape; not written")
    for name in wrote.columns:
        left, right = wrote[name], read[name]
        same = (left == right).fillna(False).astype(bool) | (left.isna() & right.isna())
        if not same.all():
            row = int((~same).to_numpy().argmax())
            raise StoreError(
                f"{path}: column {name!r} row {row} reads back as {right.iloc[row]!r} "
                f"instead of {left.iloc[row]!r}; not written"
            )
