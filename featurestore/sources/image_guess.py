"""Guesses which column of a plain table names image files, and how they are found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.images import image_key, place_and_name
from featurestore.images.containers import split


def guess_images(
    known: dict[str, pd.Series], files: Sequence[Path], root: Path
) -> tuple[dict[str, Any], list[str]]:
    """The column whose cells name most image files, and how."""
    if not files:
        return {}, []
    named = [(place_and_name(file)[1], file) for file in reversed(files)]  # the first counts
    by_stem = {image_key(name): file for name, file in named}
    by_name = dict(named)
    best: tuple[int, str, dict[str, Path]] = (0, "", {})
    for name, text in known.items():
        if not text.dropna().is_unique:
            continue
        for index in (by_stem, by_name):
            found = {t: index[t] for t in text.dropna() if t in index}
            if len(found) > best[0]:
                best = (len(found), name, found)
    n, column, found = best
    if n == 0:
        return {}, [f"none of the {len(files):,} image files is named in a column without repeats"]
    folder = Path(_common({_folder_of(file) for file in found.values()}))
    shown = str(folder.relative_to(root) if folder.is_relative_to(root) else folder)
    section: dict[str, Any] = {"image_id": column} | _way_to_files(column, found, folder, shown)
    rows = int(known[column].notna().sum())
    return section, [
        f"column {column!r} names {n:,} of {len(files):,} image files; "
        f"{rows - n:,} of its {rows:,} ids have no file"
    ]


def _way_to_files(column: str, found: dict[str, Path], folder: Path, shown: str) -> dict[str, Any]:
    """How cells lead to their files: as paths, by a pattern, or by a search."""
    if any(split(file) is not None for file in found.values()):  # in archives
        return {"folders": [shown]}
    if all(file.relative_to(folder).as_posix() == text for text, file in found.items()):
        return {"path": column, "folder": shown}
    suffixes = {file.suffix for file in found.values()}
    if all(file.parent == folder for file in found.values()) and len(suffixes) == 1:
        return {"pattern": "{image_id}" + suffixes.pop(), "folder": shown}
    return {"folders": [shown]}


def _folder_of(file: Path) -> Path:
    """Folder of a file, or of the archive that it lies in."""
    inside = split(file)
    return file.parent if inside is None else inside[0].parent


def _common(folders: set[Path]) -> Path:
    first = next(iter(folders))
    return next(p for p in (first, *first.parents) if all(f.is_relative_to(p) for f in folders))
