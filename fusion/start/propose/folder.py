"""What lies in a folder as it was downloaded: its tables, and whether there are images."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from featurestore.errors import ConfigError, DataError
from featurestore.images import ImageFolder
from featurestore.sources.recognition import guess_format
from featurestore.tables import archived_files
from fusion.paths import RunPaths

_TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".csv.gz", ".tsv.gz", ".xlsx")
_PERHAPS = (".txt", ".txt.gz", "")
"""Endings of tables and of much else, such as licences: taken if a table is recognised in them."""

_MOST_TABLES = 200


def look_into(folder: Path) -> tuple[list[Path], list[Path]]:
    """Finds tables and images, those in zip archives among them.

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
    tables: list[Path] = []
    archives: list[Path] = []
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(n for n in inner if not _is_hidden(n) and not _is_run(Path(place) / n))
        tables += [Path(place) / name for name in sorted(files) if _may_be_table(place, name)]
        archives += [Path(place) / name for name in sorted(files) if _is_archive(name)]
    tables += _tables_in(archives, {(table.name, table.stat().st_size) for table in tables})
    found = ImageFolder.scan([folder])
    images = [folder] if found.files or found.refused else []  # what is refused is said by readers
    if not tables:
        seen = "images, but no table" if found.files else "neither table nor image"
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
    return _is_perhaps(name) and guess_format(Path(place) / name) is not None


def _is_perhaps(name: str) -> bool:
    lower = name.lower()
    return (".txt.gz" if lower.endswith(".txt.gz") else Path(lower).suffix) in _PERHAPS


def _is_archive(name: str) -> bool:
    return name.lower().endswith(".zip") and not _is_hidden(name)


def _tables_in(archives: Sequence[Path], loose: Collection[tuple[str, int]]) -> list[Path]:
    """Tables in archives, but for those that somebody unpacked.

    Args:
        archives: Zip archives; one that is damaged is said where its images are looked for.
        loose: Names and sizes of tables that lie there as files.
    """
    found: list[Path] = []
    for archive in archives:
        try:
            files = [f for f in archived_files(archive) if (f.name, f.size) not in loose]
        except DataError:
            continue
        named = [file.path for file in files if file.name.lower().endswith(_TABLES)]
        rest = [file.path for file in files if _is_perhaps(file.name)][:_MOST_TABLES]
        found += sorted([*named, *(path for path in rest if guess_format(path) is not None)])
    return found


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_run(folder: Path) -> bool:
    paths = RunPaths(folder)
    return paths.config.is_file() and paths.cohort.is_dir()
