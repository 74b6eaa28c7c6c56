"""`features.h5`: one HDF5 file whose virtual datasets span all shards, for other tools."""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from featurestore.errors import StoreError
from featurestore.sealed import sealing
from featurestore.store.lineage import EncoderIdentity

FIELDS = ("embedding", "sha256", "image_id", "view")
# The oldest format with virtual datasets, so that the HDF5 libraries of R and MATLAB open it.
_FORMAT_BOUNDS = ("earliest", "v110")


@dataclasses.dataclass(frozen=True)
class VirtualShard:
    """One shard behind a group.

    Attributes:
        path: The shard, relative to the file.
        rows: Number of its rows.
        keep: Numbers of the rows to show, ascending.
    """

    path: Path
    rows: int
    keep: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class VirtualGroup:
    """One group of the file.

    Attributes:
        name: Name of the group.
        identity: Encoder whose rows it shows.
        shards: Where the rows are.
    """

    name: str
    identity: EncoderIdentity
    shards: tuple[VirtualShard, ...]


def group_names(encoders: Sequence[EncoderIdentity]) -> list[str]:
    """Names encoders for people and programs; what else is in the store does not matter.

    A frozen encoder, and embeddings from elsewhere, are called as in a configuration: `resnet18`. A
    fine-tuned one is `resnet18_ft`, with its repeat and fold `resnet18_ft_r0f1`, and its views
    `resnet18_ft_r0f1_views`. Only encoders that differ in something else (weights, image size, the
    files of an import) have the digest behind: `resnet18@1a2b3c4d5e6f`, each of them.
    """
    names = [_readable(identity) for identity in encoders]
    count = Counter(names)
    return [
        name if count[name] == 1 else f"{name}@{identity.short}"
        for name, identity in zip(names, encoders, strict=True)
    ]


def _readable(identity: EncoderIdentity) -> str:
    # A slash would make a group in a group.
    name = identity.backbone.replace("/", "_")
    if identity.is_imported or not identity.training_patients:
        return name
    repeat, _, fold = identity.fold.partition("/")
    name += f"_ft_r{repeat}f{fold}" if identity.fold else "_ft"
    return f"{name}_views" if '"views":' in identity.preprocessing else name


def describe_group(group: h5py.Group, identity: EncoderIdentity) -> None:
    """Writes into a group what made its embeddings."""
    group.attrs["identity"] = identity.digest
    group.attrs["weights"] = identity.weights
    group.attrs["encoder"] = identity.to_json()


def type_of(field: str, identity: EncoderIdentity) -> tuple[np.dtype, tuple[int, ...]]:
    """Type of a field, and its shape after the first axis."""
    if field == "embedding":
        return np.dtype("float32"), (identity.dimension,)
    return {
        "sha256": np.dtype("S64"),
        "image_id": h5py.string_dtype(),
        "view": np.dtype("int16"),
    }[field], ()


def write_virtual(path: Path, groups: Sequence[VirtualGroup]) -> Path:
    """Writes the file atomically; paths inside are relative, so the store can be moved.

    Where a shard has gone since, HDF5 shows NaN instead of its embeddings.

    Raises:
        StoreError: The file cannot be written.
    """
    content = io.BytesIO()  # HDF5 does not take a full disk well; writing bytes does
    with h5py.File(content, "w", libver=_FORMAT_BOUNDS) as file:
        for group in groups:
            _add(file, group)
    try:
        with sealing(path) as temporary:
            temporary.write_bytes(content.getvalue())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _add(file: h5py.File, group: VirtualGroup) -> None:
    target = file.create_group(group.name)
    describe_group(target, group.identity)
    n = sum(len(shard.keep) for shard in group.shards)
    for field in FIELDS:
        dtype, tail = type_of(field, group.identity)
        layout = h5py.VirtualLayout(shape=(n, *tail), dtype=dtype)
        start = 0
        for shard in group.shards:
            source = h5py.VirtualSource(str(shard.path), field, shape=(shard.rows, *tail))
            for first, last in _runs(shard.keep):
                layout[start : start + last - first] = source[first:last]
                start += last - first
        fill = np.nan if field == "embedding" else None
        target.create_virtual_dataset(field, layout, fillvalue=fill)


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of consecutive numbers of an ascending list."""
    for _, run in itertools.groupby(enumerate(rows), lambda pair: pair[1] - pair[0]):
        numbers = [row for _, row in run]
        yield numbers[0], numbers[-1] + 1
