"""What lies in a folder as it was downloaded: its tables, and whether there are images."""

from __future__ import annotations

import os
from pathlib import Path

from featurestore.errors import ConfigError, DataError
from featurestore.images import ImageFolder
from featurestore.sources.recognition import guess_format
from fusion.paths import RunPaths

_TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".csv.gz", ".tsv.gz", ".xlsx")
_PERHAPS = (".txt", ".txt.gz", "")
"""Endings of tables and of much else, such as licences: taken if a table is recognised in them."""

_MOST_TABLES = 200


def look_into(folder: Path) -> tuple[list[Path], list[Path]]:
    """Finds tables and images.

    Hidden files, what macOS puts beside them, and folders of runs are passed over.

    Args:
        folder: The folder.

    Returns:
        The tables, sorted, and the folder itself if there are images in it.

    Raises:
        ConfigError: There is no table, or too many of them.
        DataError: The folder cannot be listed.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}")
    tables = []
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(n for n in inner if not _is_hidden(n) and not _is_run(Path(place) / n))
        tables += [Path(place) / name for name in sorted(files) if _may_be_table(place, name)]
    images = [folder] if ImageFolder.scan([folder]).files else []
    if not tables:
        seen = "images, but no table" if images else "neither table nor image"
        raise ConfigError(
            f"{folder} holds {seen} that is recognised; name tables with --table FILE, and images "
            "with --images DIR"
        )
    if len(tables) > _MOST_TABLES:
        raise ConfigError(
            f"{folder} holds {len(tables):,} tables, as a folder of one table a patient does; name "
            "those of the study with --table FILE"
        )
    return tables, images


def _may_be_table(place: str, name: str) -> bool:
    if _is_hidden(name):
        return False
    lower = name.lower()
    if lower.endswith(_TABLES):
        return True
    path = Path(place) / name
    ending = ".txt.gz" if lower.endswith(".txt.gz") else path.suffix.lower()
    return ending in _PERHAPS and guess_format(path) is not None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_run(folder: Path) -> bool:
    paths = RunPaths(folder)
    return paths.config.is_file() and paths.cohort.is_dir()
