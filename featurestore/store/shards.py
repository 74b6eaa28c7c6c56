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
import re
from pathlib import Path

import h5py
import numpy as np

from featurestore.atomic import replacing
from featurestore.disk import reason
from featurestore.errors import StoreError, one_line

FORMAT = 1
NAME = re.compile(r"[0-9a-f]{64}\.h5")
MAX_SHARD_BYTES = 1 << 30
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
        for k, (digest, view) in enumerate(zip(self.sha256, self.view, strict=True)):
            row = bytes(digest) + int(view).to_bytes(2, "little", signed=True) + values[k].tobytes()
            sums[k] = int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little")
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
            _check_written(temporary, digest, identity_digest, checksums)
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
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if file.attrs["melafuse_shard"] != FORMAT:
                raise DamagedShard(f"shard format {file.attrs['melafuse_shard']} is not known")
            fields = {name: _dataset(file, name, len(data)) for name in _DIMENSIONS}
            if len({len(field) for field in fields.values()}) != 1:
                raise DamagedShard("its datasets differ in their number of rows")
            rows = ShardRows(
                sha256=fields["sha256"][:],
                view=fields["view"][:],
                image_id=fields["image_id"].asstr()[:],
                embedding=fields["embedding"][:],
            )
            return str(file.attrs["identity"]), rows, fields["checksum"][:]
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise DamagedShard(f"not a shard: {one_line(error, 100)}") from None


def _dataset(file: h5py.File, name: str, largest: int) -> h5py.Dataset:
    """A dataset of the expected form whose data lie in the file itself.

    A crafted file could otherwise point to other files, or claim more rows than it has bytes.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise DamagedShard(f"{name} is not a dataset of the file itself")
    data = file[name]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise DamagedShard(f"{name} is not a dataset of the file itself")
    if data.ndim != _DIMENSIONS[name] or data.dtype.kind != _KINDS[name]:
        raise DamagedShard(f"{name} has {data.ndim} dimensions of type {data.dtype}")
    if data.nbytes > largest:
        raise DamagedShard(f"{name} claims {data.nbytes:,} bytes in a file of {largest:,}")
    return data


def _verified(path: Path, digest: str, identity_digest: str) -> tuple[ShardRows, np.ndarray]:
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DamagedShard(f"{len(data):,} bytes whose SHA-256 is not the file's name")
    stated, rows, checksums = decode_shard(data)
    if stated != identity_digest:
        raise DamagedShard(f"belongs to encoder {stated[:12]}")
    return rows, checksums


def _check_written(path: Path, digest: str, identity_digest: str, checksums: np.ndarray) -> None:
    try:
        rows, stated = _verified(path, digest, identity_digest)
        same = np.array_equal(stated, checksums) and np.array_equal(rows.checksums(), checksums)
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
