"""Looks over all files of an import before anything is written: ids, widths, encoders."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featurestore.errors import DataError, name_some
from featurestore.imports.base import Bag, Reader, ReadOptions, UnreadableFeatures
from featurestore.imports.files import FeatureFile
from featurestore.imports.pooling import Pooling, pool_bag


@dataclasses.dataclass(frozen=True)
class Survey:
    """What the files of an import hold.

    Attributes:
        bags: Every bag once, with its file, in the order of files and rows.
        width: Numbers in a row of all of them.
        refused: Files that cannot be read, with the reason.
        left_out: Columns that were left out.
    """

    bags: tuple[tuple[Bag, Path], ...]
    width: int
    refused: dict[Path, str]
    left_out: tuple[str, ...]


def survey(
    name: str,
    reader: Reader,
    files: Sequence[FeatureFile],
    options: ReadOptions,
    pool: Pooling,
) -> Survey:
    """Looks over all files.

    Args:
        name: Name of the embeddings, for messages.
        reader: Reads the files.
        files: The files.
        options: How to read them.
        pool: How bags are pooled, to compare two of one id.

    Raises:
        DataError: No bag can be read, an id is empty, widths or encoders differ, or one id stands
            for different values or patients.
    """
    bags: list[tuple[Bag, Path]] = []
    refused: dict[Path, str] = {}
    for file in files:
        try:
            bags += [(bag, file.path) for bag in reader.bags(file.path, options)]
        except UnreadableFeatures as error:
            refused[file.path] = str(error)
    if not bags:
        path, why = next(iter(refused.items()), (files[0].path, "it holds nothing"))
        raise DataError(
            f"embeddings {name}: no file of {len(files):,} can be read as {reader.name}; the "
            f"first, {path.name}: {why}"
        )
    nameless = sum(not bag.id.strip() for bag, _ in bags)
    if nameless:
        raise DataError(f"embeddings {name}: {nameless} of {len(bags)} rows have no id")
    _require_one_width(name, bags)
    _require_one_encoder(name, bags)
    left_out = tuple(dict.fromkeys(c for bag, _ in bags for c in bag.left_out))
    return Survey(_each_once(name, bags, pool), bags[0][0].width, refused, left_out)


def _require_one_width(name: str, bags: Sequence[tuple[Bag, Path]]) -> None:
    widths = Counter(bag.width for bag, _ in bags)
    if len(widths) == 1:
        return
    parts = []
    for width, count in widths.most_common():
        own = name_some([bag.id for bag, _ in bags if bag.width == width], 3)
        parts.append(f"{count} have {width} numbers ({own})")
    raise DataError(
        f"embeddings {name}: {'; '.join(parts[:4])}: these come from several encoders; import each "
        "under its own name"
    )


def _require_one_encoder(name: str, bags: Sequence[tuple[Bag, Path]]) -> None:
    stated = Counter(bag.encoder for bag, _ in bags if bag.encoder)
    if len(stated) < 2:
        return
    parts = []
    for encoder, count in stated.most_common(4):
        own = name_some([bag.id for bag, _ in bags if bag.encoder == encoder], 3)
        parts.append(f"{count} of {encoder} ({own})")
    raise DataError(
        f"embeddings {name}: the files state {len(stated)} encoders: {'; '.join(parts)}; import "
        "each under its own name"
    )


def _each_once(
    name: str, bags: Sequence[tuple[Bag, Path]], pool: Pooling
) -> tuple[tuple[Bag, Path], ...]:
    """The bags without repetitions of the same values under the same id."""
    by_id: dict[str, list[tuple[Bag, Path]]] = {}
    for bag, path in bags:
        by_id.setdefault(bag.id, []).append((bag, path))
    contradicting = []
    for own in by_id.values():
        first, *others = [bag for bag, _ in own]
        if any(b.patient != first.patient or not _same(first, b, pool) for b in others):
            contradicting.append(first.id)
    if contradicting:
        raise DataError(
            f"embeddings {name}: {len(contradicting)} ids stand more than once with other values "
            f"or patients: {name_some(sorted(contradicting))}"
        )
    return tuple(own[0] for own in by_id.values())


def _same(first: Bag, second: Bag, pool: Pooling) -> bool:
    try:
        return np.array_equal(pool_bag(first, pool), pool_bag(second, pool))
    except UnreadableFeatures:
        return False
