"""One shard: an immutable HDF5 file whose name is the SHA-256 of its bytes.

Because the name is the digest, every truncation and every flipped bit is found before the HDF5
library parses a byte, which removes the hangs that corrupt HDF5 files can cause. Row checksums
stand inside as well, so that `store verify` can say which rows of a damaged shard are lost.
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
from featurestore.errors import StoreError

FORMAT = 1
NAME = re.compile(r"[0-9a-f]{64}\.h5")
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.(\d+)\.part")
MAX_SHARD_BYTES = 4 << 30
_CHUNK_ROWS = 256  # measured: as fast to read as contiguous data; one-row chunks take four times


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
    data = _encode(identity_digest, rows)
    digest = hashlib.sha256(data).hexdigest()
    final = folder / f"{digest}.h5"
    try:
        with replacing(final) as temporary:
            temporary.write_bytes(data)
            if hashlib.sha256(temporary.read_bytes()).hexdigest() != digest:
                raise StoreError(f"{folder}: a shard reads back differently; is the disk failing?")
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
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != path.name.removesuffix(".h5"):
        raise DamagedShard(f"{len(data):,} bytes whose SHA-256 is not the file's name")
    stated, rows, _ = decode_shard(data)
    if stated != identity_digest:
        raise DamagedShard(f"belongs to encoder {stated[:12]}")
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
        raise DamagedShard(error.strerror or str(error)) from None


def decode_shard(data: bytes) -> tuple[str, ShardRows, np.ndarray]:
    """Parses the bytes of a shard.

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
            rows = ShardRows(
                sha256=file["sha256"][:],
                view=file["view"][:],
                image_id=file["image_id"].asstr()[:],
                embedding=file["embedding"][:],
            )
            return str(file.attrs["identity"]), rows, file["checksum"][:]
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise DamagedShard(f"not a shard: {' '.join(str(error).split())[:100]}") from None


def _encode(identity_digest: str, rows: ShardRows) -> bytes:
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
        file.create_dataset("checksum", data=rows.checksums())
    return buffer.getvalue()
