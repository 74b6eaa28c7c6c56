"""From rows of an images table to decoded squares, or to reasons why there are none."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from extractor.images import Geometry, decode
from featurestore.images import UnreadableImage, read_image_bytes
from featurestore.store import QuarantineRow
from featurestore.tables import require_columns, require_unique

CHANGED = "changed since the cohort was read"
_BYTES_PER_PIXEL = 8  # four channels of 16 bits, uncompressed: no real file needs more
_LARGEST_HEADER = 64_000_000  # metadata beside the pixels


@dataclasses.dataclass(frozen=True)
class Copy:
    """One image row: an id and the file it names."""

    image_id: str
    path: Path


@dataclasses.dataclass(frozen=True)
class Content:
    """All image rows with the same bytes; they are embedded once.

    Attributes:
        sha256: Digest of the bytes when the cohort was read; empty where they could not be read.
        copies: The rows, in the order of their ids.
    """

    sha256: str
    copies: tuple[Copy, ...]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What came of reading one content.

    Attributes:
        content: What was read.
        copy: The row whose file was read; None if no copy could be used.
        squares: Pixels by geometry; empty if no copy could be used.
        refused: One row for each copy that could not be used.
        seconds: Time it took in its thread.
    """

    content: Content
    copy: Copy | None
    squares: Mapping[Geometry, np.ndarray]
    refused: tuple[QuarantineRow, ...]
    seconds: float


def contents_of(images: pd.DataFrame, data_root: Path) -> list[Content]:
    """Groups image rows by content; the order of the rows has no influence.

    Args:
        images: Columns `image_id, path, sha256`; a relative path starts from `data_root`.
        data_root: Folder of the data.

    Raises:
        DataError: A column is missing or an image id stands twice.
    """
    require_columns(images, ("image_id", "path", "sha256"), "the images table")
    require_unique(images["image_id"], "image_id in the images table")
    groups: dict[str, list[Copy]] = {}
    rows = images[["image_id", "path", "sha256"]].astype("str").fillna("")
    for image_id, path, sha256 in sorted(rows.itertuples(index=False, name=None)):
        # Files without a digest have nothing in common: each is a content of its own.
        key = sha256 or f"unread {image_id}"
        groups.setdefault(key, []).append(Copy(image_id, data_root / path))
    return [
        Content("" if key.startswith("unread ") else key, tuple(copies))
        for key, copies in groups.items()
    ]


def read_content(content: Content, geometries: Collection[Geometry], max_pixels: int) -> Reading:
    """Reads the first usable copy, checks that its bytes are still the same, and decodes them.

    A file that cannot be read or has changed is refused alone and the next copy is tried; bytes
    that cannot be decoded refuse all copies.
    """
    started = time.perf_counter()
    refused: list[QuarantineRow] = []
    squares: Mapping[Geometry, np.ndarray] = {}
    used: Copy | None = None
    for position, copy in enumerate(content.copies):
        try:
            data = _read_unchanged(copy.path, content.sha256, max_pixels)
        except UnreadableImage as error:
            refused.append(refusal(content, copy, error.reason))
            continue
        try:
            squares, used = decode(data, geometries, max_pixels), copy
        except UnreadableImage as error:
            rest = content.copies[position:]
            refused += [refusal(content, other, error.reason) for other in rest]
        break
    return Reading(content, used, squares, tuple(refused), time.perf_counter() - started)


def refusal(content: Content, copy: Copy, reason: str) -> QuarantineRow:
    """Builds the quarantine row of one image row."""
    return QuarantineRow(
        sha256=content.sha256, image_id=copy.image_id, path=str(copy.path), reason=reason
    )


def _read_unchanged(path: Path, sha256: str, max_pixels: int) -> bytes:
    """Reads the file once, so that what is decoded is what was checked."""
    data = read_image_bytes(path, _LARGEST_HEADER + _BYTES_PER_PIXEL * max_pixels)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UnreadableImage(CHANGED)
    return data
