"""Inspects many image files at once, and remembers by content what was seen."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.atomic import make_folder
from featurestore.errors import DataError
from featurestore.images.duplicates import N_ORIENTATIONS, THUMBNAIL_SIDE
from featurestore.images.opening import ImageFacts, inspect_image
from featurestore.locks import holding
from featurestore.progress import SILENT, Progress
from featurestore.sealed import read_sealed_table, write_sealed_table
from featurestore.units import counted

# To be raised when anything in the cache is computed otherwise, or is added.
INSPECTION_VERSION = 2
_CACHE_FILE = f"inspections-{INSPECTION_VERSION}.parquet"
_LOCK_FILE = ".inspections.lock"
_THREADS = min(8, os.cpu_count() or 1)  # Pillow releases the interpreter lock while it decodes


def inspect_images(
    paths: Sequence[Path], max_pixels: int, cache_folder: Path, progress: Progress = SILENT
) -> list[ImageFacts]:
    """Inspects files, decoding only those whose content was not seen before.

    Args:
        paths: The files.
        max_pixels: Images with more pixels are not decoded.
        cache_folder: Folder of the cache; a damaged cache is made anew.
        progress: Told of every file.

    Returns:
        Facts of each file, in the order of `paths`.
    """
    path = cache_folder / _CACHE_FILE
    cache = _load(path)

    def inspect(file: Path) -> tuple[ImageFacts, bool]:
        facts = inspect_image(file, max_pixels, cache)
        return facts, facts is cache.get(facts.sha256)

    progress.start("inspect images", len(paths))
    facts: list[ImageFacts] = []
    reused = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for fact, was_cached in pool.map(inspect, paths):
            facts.append(fact)
            reused += was_cached
            progress.advance()
    unreadable = sum(fact.reason is not None for fact in facts)
    progress.finish(
        f"{counted(len(paths), 'image')} inspected ({reused} known, {unreadable} unreadable)"
    )
    fresh = {f.sha256: f for f in facts if f.reason is None and f.sha256 not in cache}
    if fresh:
        make_folder(cache_folder)
        with holding(cache_folder / _LOCK_FILE):  # another run may have seen others meanwhile
            _save({**_load(path), **fresh}.values(), path)
    return facts


def _save(facts: Iterable[ImageFacts], path: Path) -> None:
    ordered = sorted(facts, key=lambda fact: fact.sha256)
    table = pd.DataFrame(
        {
            "sha256": [f.sha256 for f in ordered],
            "width": [f.width for f in ordered],
            "height": [f.height for f in ordered],
            "bytes": [f.bytes for f in ordered],
            "orientation": [f.orientation for f in ordered],
            "exif": [f.exif for f in ordered],
            "hashes": [b"" if f.hashes is None else f.hashes.tobytes() for f in ordered],
            "thumbnail": [b"" if f.thumbnail is None else f.thumbnail.tobytes() for f in ordered],
        }
    )
    write_sealed_table(path, table)


def _load(path: Path) -> dict[str, ImageFacts]:
    try:
        table = read_sealed_table(path, "it is made again")
        return {fact.sha256: fact for fact in map(_fact, table.to_dict("records"))}
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return {}  # it can always be made again


def _fact(row: dict[Hashable, Any]) -> ImageFacts:
    hashes = np.frombuffer(row["hashes"], dtype=np.uint64)
    thumbnail = np.frombuffer(row["thumbnail"], dtype=np.uint8)
    return ImageFacts(
        sha256=str(row["sha256"]),
        width=int(row["width"]),
        height=int(row["height"]),
        bytes=int(row["bytes"]),
        orientation=int(row["orientation"]),
        hashes=hashes.reshape(N_ORIENTATIONS),
        thumbnail=thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        exif=bool(row["exif"]),
    )
