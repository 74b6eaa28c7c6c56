"""`features.h5`: one HDF5 file whose virtual datasets span all shards, for other tools."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from featurestore.atomic import replacing
from featurestore.errors import StoreError
from featurestore.lineage import EncoderIdentity

FIELDS = ("embedding", "sha256", "image_id", "view")


@dataclasses.dataclass(frozen=True)
class VirtualGroup:
    """One group of the file.

    Attributes:
        name: Name of the group.
        identity: Encoder whose rows it shows.
        shards: Path relative to the file, number of rows, and the rows to show, of each shard.
    """

    name: str
    identity: EncoderIdentity
    shards: tuple[tuple[Path, int, list[int]], ...]


def write_virtual(path: Path, groups: Sequence[VirtualGroup]) -> Path:
    """Writes the file atomically; paths inside are relative, so the store can be moved.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        with replacing(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
            for group in groups:
                _add(file, group)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _add(file: h5py.File, group: VirtualGroup) -> None:
    target = file.create_group(group.name)
    target.attrs["identity"] = group.identity.digest
    target.attrs["weights"] = group.identity.weights
    n = sum(len(keep) for _, _, keep in group.shards)
    for field in FIELDS:
        dtype, tail = _type_of(field, group.identity)
        layout = h5py.VirtualLayout(shape=(n, *tail), dtype=dtype)
        start = 0
        for shard, rows, keep in group.shards:
            source = h5py.VirtualSource(str(shard), field, shape=(rows, *tail))
            for first, last in _runs(keep):
                layout[start : start + last - first] = source[first:last]
                start += last - first
        target.create_virtual_dataset(field, layout)


def _type_of(field: str, identity: EncoderIdentity) -> tuple[np.dtype, tuple[int, ...]]:
    if field == "embedding":
        return np.dtype("float32"), (identity.dimension,)
    return {
        "sha256": np.dtype("S64"),
        "image_id": h5py.string_dtype(),
        "view": np.dtype("int16"),
    }[field], ()


def _runs(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of consecutive numbers of an ascending list."""
    for _, run in itertools.groupby(enumerate(rows), lambda pair: pair[1] - pair[0]):
        numbers = [row for _, row in run]
        yield numbers[0], numbers[-1] + 1
