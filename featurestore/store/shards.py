"""One shard: an immutable HDF5 file whose name is the SHA-256 of its bytes.

Because the name is the digest, every truncation and every flipped bit is found before the HDF5
library parses a byte, which removes the hangs that corrupt HDF5 files can cause. SHA-256 also is
the fastest strong digest where the processor knows it (measured: 1.9 GB/s; BLAKE2b 1.3 GB/s). Row
checksums stand inside as well, so that `store verify` can say which rows of a damaged shard are
lost.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from featurestore.atomic import replacing
from featurestore.disk import reason
from featurestore.errors import StoreError, one_line

FORMAT = 1
NAME = re.compile(r"[0-9a-f]{64}\.h5")
MAX_SHARD_BYTES = 1 << 30
_UNCOPIED = 2 | 4
"""Flags of HDF5's file images: take the bytes where they are, and leave them there."""
_CHUNK_ROWS = 256  # measured: as fast to read as contiguous data; one-row chunks take four times
_DIMENSIONS = {"sha256": 1, "view": 1, "image_id": 1, "checksum": 1, "embedding": 2}
_KINDS = {"sha256": "S", "view": "i", "image_id": "O", "checksum": "u", "embedding": "f"}


class DamagedShard(Exception):
    """A file that is not the shard its name promises; the message says why."""


@dataclasses.dataclass(frozen=True)
class ShardRows:
    """Rows of one shard.

    Attributes:
        sha256: Digest of each image file, 64 hexadecimal digits. Shape (n,), dtype S64.
        view: Number of the view; 0 is the image itself. Shape (n,), int16.
        image_id: Id under which the image was embedded. Shape (n,), object of str.
        embedding: Finite values. Shape (n, D), float32 or float16.
    """

    sha256: np.ndarray
    view: np.ndarray
    image_id: np.ndarray
    embedding: np.ndarray

    def __len__(self) -> int:
        return len(self.sha256)

    def digests(self) -> list[str]:
        """Digest of each image file, as text."""
        return [bytes(s).decode("ascii", "replace") for s in self.sha256]

    def checksums(self) -> np.ndarray:
        """64-bit BLAKE2b of digest, view and values of each row; (n,) uint64.

        Long enough that a damaged row passes once in 1.8e19 cases; a CRC would find any single
        flipped bit too, but not every pair of swapped rows.
        """
        sums = np.empty(len(self), dtype=np.uint64)
        values = np.ascontiguousarray(self.embedding)
        labels = zip(self.sha256.tolist(), self.view.tolist(), strict=True)
        for k, (digest, view) in enumerate(labels):
            own = hashlib.blake2b(digest + view.to_bytes(2, "little", signed=True), digest_size=8)
            own.update(values[k])
            sums[k] = int.from_bytes(own.digest(), "little")
        return sums


def write_shard(folder: Path, identity_digest: str, rows: ShardRows) -> Path:
    """Writes a shard so that a reader sees all of it or nothing.

    The file is written under a temporary name, closed, read back and verified, fsynced, renamed,
    and the folder is fsynced; only then are the rows committed.

    Raises:
        StoreError: The disk is full or refuses to write; nothing was committed.
    """
    checksums = rows.checksums()
    data = _encode(identity_digest, rows, checksums)
    digest = hashlib.sha256(data).hexdigest()
    final = folder / f"{digest}.h5"
    try:
        with replacing(final) as temporary:
            temporary.write_bytes(data)
            _check_written(temporary, digest, identity_digest, (rows, checksums))
    except OSError as error:
        raise StoreError(
            f"cannot write a shard into {folder}: {error.strerror or error}; its "
            f"{len(rows)} rows are not stored, the same command embeds them again"
        ) from None
    return final


def read_shard(path: Path, identity_digest: str) -> ShardRows:
    """Reads and verifies a whole shard.

    Raises:
        DamagedShard: The bytes are not those the name promises, or belong to another encoder.
    """
    rows, _ = _verified(path, path.name.removesuffix(".h5"), identity_digest)
    return rows


def read_checked_shard(path: Path, identity_digest: str) -> ShardRows:
    """Like `read_shard`, and also compares every row with its checksum.

    Raises:
        DamagedShard: As `read_shard`, or a row is not the one that was appended.
    """
    rows, checksums = _verified(path, path.name.removesuffix(".h5"), identity_digest)
    bad = int((rows.checksums() != checksums).sum())
    if bad:
        raise DamagedShard(f"{bad} rows do not match their checksums")
    return rows


def read_bytes(path: Path) -> bytes:
    """Reads a shard's bytes; symbolic links and absurd sizes are refused.

    Raises:
        DamagedShard: The file cannot be read.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise DamagedShard("not a regular file")
        if path.stat().st_size > MAX_SHARD_BYTES:
            raise DamagedShard("larger than any shard")
        return path.read_bytes()
    except OSError as error:
        raise DamagedShard(reason(error)) from None


def decode_shard(data: bytes) -> tuple[str, ShardRows, np.ndarray]:
    """Parses the bytes of a shard. What is allocated is bounded by their number.

    Returns:
        Digest of the encoder, the rows, and their checksums as they are written in the file.

    Raises:
        DamagedShard: The bytes are no shard. Bytes that were not verified may hang the HDF5
            library: parse them in a process with a time limit.
    """
    columns = decode_columns(data, None, tuple(_DIMENSIONS))
    found = columns.read
    rows = ShardRows(found["sha256"], found["view"], found["image_id"], found["embedding"])
    return columns.identity, rows, found["checksum"]


@dataclasses.dataclass(frozen=True)
class ShardColumns:
    """Some columns of a shard.

    Attributes:
        identity: Digest of the encoder.
        width: Length of the embeddings.
        dtype: Type in which they are stored.
        read: The columns that were asked for, by name; n rows each.
    """

    identity: str
    width: int
    dtype: np.dtype
    read: dict[str, np.ndarray]


def decode_columns(data: bytes, identity_digest: str | None, names: Sequence[str]) -> ShardColumns:
    """Parses columns out of the bytes of a shard; the form of all columns is checked.

    Args:
        data: The bytes; see `decode_shard`.
        identity_digest: Encoder that the shard should belong to; None for any.
        names: Columns to read. Text is dear: ids of images take as long as all the rest.

    Raises:
        DamagedShard: The bytes are no shard, or of another encoder.
    """
    try:
        # The low-level interface: a store of a million rows has a thousand shards, and finding five
        # datasets by the other one takes longer than comparing the bytes with their digest.
        file = h5py.h5f.open_file_image(data, _UNCOPIED)
        try:
            return _columns(file, data, identity_digest, names)
        finally:
            file.close()  # takes three times as long while datasets are open
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        traceback.clear_frames(error.__traceback__)
        raise DamagedShard(f"not a shard: {one_line(error, 100)}") from None
    except DamagedShard as error:
        traceback.clear_frames(error.__traceback__)  # no dataset stays open longer than its bytes
        raise


def _columns(
    file: h5py.h5f.FileID, data: bytes, identity_digest: str | None, names: Sequence[str]
) -> ShardColumns:
    version = _attribute(file, b"melafuse_shard")
    if version != FORMAT:
        raise DamagedShard(f"shard format {version} is not known")
    stated = str(_attribute(file, b"identity"))
    if identity_digest not in (None, stated):
        raise DamagedShard(f"belongs to encoder {stated[:12]}")
    fields = {name: _dataset(file, name, len(data)) for name in _DIMENSIONS}
    if len({field.shape[0] for field in fields.values()}) != 1:
        raise DamagedShard("its datasets differ in their number of rows")
    read = {name: _values(fields[name], data) for name in names}
    values = fields["embedding"]
    return ShardColumns(stated, values.shape[1], values.dtype, read)


def _attribute(file: h5py.h5f.FileID, name: bytes) -> Any:
    """A single value; text is variable in length, as HDF5 for Python writes it."""
    attribute = h5py.h5a.open(file, name)
    if attribute.shape != ():
        raise DamagedShard(f"{name.decode()} is not one value")
    found = np.empty((), dtype=attribute.dtype)
    attribute.read(found)
    value = found[()]
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _dataset(file: h5py.h5f.FileID, name: str, largest: int) -> h5py.h5d.DatasetID:
    """A dataset of the expected form whose data lie in the file itself.

    A crafted file could otherwise point to other files, or claim more rows than it has bytes.
    """
    label, links = name.encode(), file.links
    if not (links.exists(label) and links.get_info(label).type == h5py.h5l.TYPE_HARD):
        raise DamagedShard(f"{name} is not a dataset of the file itself")
    if h5py.h5o.get_info(file, label).type != h5py.h5o.TYPE_DATASET:
        raise DamagedShard(f"{name} is not a dataset of the file itself")
    data = h5py.h5d.open(file, label)
    created = data.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
        raise DamagedShard(f"{name} is not a dataset of the file itself")
    dtype, shape = data.dtype, data.shape
    if len(shape) != _DIMENSIONS[name] or dtype.kind != _KINDS[name]:
        raise DamagedShard(f"{name} has {len(shape)} dimensions of type {dtype}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > largest:
        raise DamagedShard(f"{name} claims {claimed:,} bytes in a file of {largest:,}")
    return data


def _values(field: h5py.h5d.DatasetID, data: bytes) -> np.ndarray:
    """Values of a dataset; numbers that lie in the bytes row after row are left there."""
    if _lies_in_order(field):
        start = field.get_chunk_info(0).byte_offset
        count = math.prod(field.shape)
        return np.frombuffer(data, field.dtype, count, start).reshape(field.shape)
    found = np.empty(field.shape, dtype=field.dtype)
    field.read(h5py.h5s.ALL, h5py.h5s.ALL, found)
    if found.dtype.kind == "O":
        return np.array([text.decode("utf-8") for text in found], dtype=object)
    return found


def _lies_in_order(field: h5py.h5d.DatasetID) -> bool:
    """Whether a dataset is chunks of whole rows, unfiltered, one behind the other.

    So `write_shard` writes embeddings; copying each shard's twice takes longer than to find out.
    """
    created = field.get_create_plist()
    if created.get_layout() != h5py.h5d.CHUNKED or created.get_nfilters() or not field.shape[0]:
        return False
    chunk = created.get_chunk()
    if chunk[1:] != field.shape[1:] or field.get_num_chunks() != -(-field.shape[0] // chunk[0]):
        return False
    size = math.prod(chunk) * field.dtype.itemsize
    chunks = [field.get_chunk_info(k) for k in range(field.get_num_chunks())]
    return all(
        one.chunk_offset[0] == k * chunk[0] and one.byte_offset == chunks[0].byte_offset + k * size
        for k, one in enumerate(chunks)
    )


def verified_bytes(path: Path) -> bytes:
    """Reads a shard's bytes and compares them with its name.

    Raises:
        DamagedShard: They are not those that the name promises, or cannot be read.
    """
    return _with_digest(path, path.name.removesuffix(".h5"))


def _with_digest(path: Path, digest: str) -> bytes:
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DamagedShard(f"{len(data):,} bytes whose SHA-256 is not the file's name")
    return data


def _verified(path: Path, digest: str, identity_digest: str) -> tuple[ShardRows, np.ndarray]:
    stated, rows, checksums = decode_shard(_with_digest(path, digest))
    if stated != identity_digest:
        raise DamagedShard(f"belongs to encoder {stated[:12]}")
    return rows, checksums


def _check_written(
    path: Path, digest: str, identity_digest: str, meant: tuple[ShardRows, np.ndarray]
) -> None:
    """Compares what is on the disk with its digest, and with the rows that are in memory."""
    try:
        rows, checksums = _verified(path, digest, identity_digest)
        same = np.array_equal(checksums, meant[1]) and all(
            np.array_equal(getattr(rows, field.name), getattr(meant[0], field.name))
            for field in dataclasses.fields(ShardRows)
        )
    except DamagedShard:
        same = False
    if not same:
        raise StoreError(
            f"{path.parent}: a shard reads back differently and was not committed; "
            "is the disk or the memory failing?"
        )


def _encode(identity_digest: str, rows: ShardRows, checksums: np.ndarray) -> bytes:
    """Bytes of the HDF5 file; the same rows give the same bytes (no times are tracked)."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        file.attrs["melafuse_shard"] = FORMAT
        file.attrs["identity"] = identity_digest
        n, dimension = rows.embedding.shape
        file.create_dataset(
            "embedding", data=rows.embedding, chunks=(min(n, _CHUNK_ROWS), dimension)
        )
        file.create_dataset("sha256", data=rows.sha256)
        file.create_dataset("view", data=rows.view)
        file.create_dataset("image_id", data=rows.image_id, dtype=h5py.string_dtype())
        file.create_dataset("checksum", data=checksums)
    return buffer.getvalue()
