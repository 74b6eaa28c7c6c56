"""Writing export tables so that a file under its final name is complete and right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyreadstat

from featurestore.atomic import replacing
from featurestore.disk import reason
from featurestore.errors import StoreError
from featurestore.export.base import Exporter
from featurestore.export.stored import require_same
from featurestore.export.variables import Change, LabelledTable


def write_table(table: LabelledTable, exporter: Exporter, path: Path) -> list[Change]:
    """Writes one table in one format.

    The file is written under a temporary name, read back by other code than wrote it, compared
    label by label and cell by cell, and only then renamed.

    Returns:
        How the file differs from the table.

    Raises:
        StoreError: The file could not be written, or reads back differently.
    """
    stored, changes = exporter.fit(table)
    try:
        with replacing(path) as temporary:
            exporter.write(stored, temporary)
            require_same(stored, exporter.read(temporary, stored), str(path))
    except (OSError, pyreadstat.ReadstatError) as error:
        raise StoreError(f"cannot write {path}: {reason(error)}") from None
    return changes


def write_files(
    tables: Sequence[LabelledTable], exporters: Sequence[Exporter], folder: Path
) -> tuple[list[Path], list[Change]]:
    """Writes every table in every format; returns the paths and what the formats changed."""
    written: list[Path] = []
    changes: list[Change] = []
    for table in tables:
        for exporter in exporters:
            path = folder / f"{table.name}{exporter.suffix}"
            changes += write_table(table, exporter, path)
            written.append(path)
    return written, changes
