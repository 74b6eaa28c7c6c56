"""What a verified shard holds, in columns, and the reading of many shards.

Opening a store reads every byte of it once, to compare it with the shards' names. Of a million rows
that is most of the work, so digests are taken in threads of their own while the next bytes are
read, and of the contents only the two columns that rows are found by are parsed.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from featurestore.store.shards import DamagedShard, decode_columns, verified_bytes

AHEAD_BYTES = 64 << 20
"""Bytes of shards that are read before they are asked for; one shard in any case."""

_THREADS = min(4, os.cpu_count() or 1)

State = tuple[str, int, int, int, int]  # name, inode, size, times of change


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """Rows of a shard, in file order.

    Attributes:
        sha256: Digest of each image file. Shape (n,), dtype S64.
        view: Number of the view of each row. Shape (n,), int16.
        dtype: Type in which the embeddings are stored.
    """

    sha256: np.ndarray
    view: np.ndarray
    dtype: np.dtype

    def __len__(self) -> int:
        return len(self.sha256)

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """Digest and view of each row."""
        digests = (digest.decode("ascii", "replace") for digest in self.sha256.tolist())
        return tuple(zip(digests, self.view.tolist(), strict=True))

    def digests_of(self, view: int) -> list[bytes]:
        """Digests of the rows of one view."""
        found: list[bytes] = self.sha256[self.view == view].tolist()
        return found


@dataclasses.dataclass(frozen=True)
class ReadShard:
    """Bytes of a shard that was asked for.

    Attributes:
        path: The shard.
        state: What would have changed if the file had, since before it was read.
        data: Bytes whose digest is the shard's name, or what is wrong with it.
    """

    path: Path
    state: State | None
    data: bytes | DamagedShard


def read_ahead(paths: Iterable[Path]) -> Iterator[ReadShard]:
    """Reads and verifies shards in order, a few of them before they are asked for."""
    waiting: deque[tuple[int, Future[ReadShard]]] = deque()
    left = iter(paths)
    path = next(left, None)
    with ThreadPoolExecutor(_THREADS) as pool:
        while path is not None or waiting:
            ahead = sum(size for size, _ in waiting)
            while path is not None and (not waiting or ahead < AHEAD_BYTES):
                state = state_of(path)
                size = 0 if state is None else state[2]
                waiting.append((size, pool.submit(_read, path, state)))
                ahead += size
                path = next(left, None)
            yield waiting.popleft()[1].result()


def decode_index(data: bytes, identity_digest: str, dimension: int) -> ShardIndex:
    """Parses what rows are found by.

    Raises:
        DamagedShard: The bytes are no shard of the encoder.
    """
    return _decoded(data, identity_digest, dimension, values=False)[0]


def decode_values(
    data: bytes, identity_digest: str, dimension: int
) -> tuple[ShardIndex, np.ndarray]:
    """Parses what rows are found by, and their embeddings (n, D) as they are stored.

    Raises:
        DamagedShard: The bytes are no shard of the encoder.
    """
    return _decoded(data, identity_digest, dimension, values=True)


def _decoded(
    data: bytes, identity_digest: str, dimension: int, values: bool
) -> tuple[ShardIndex, np.ndarray]:
    names = ("sha256", "view", *(["embedding"] if values else []))
    columns = decode_columns(data, identity_digest, names)
    if columns.width != dimension:
        raise DamagedShard(f"embeddings have length {columns.width}")
    index = ShardIndex(columns.read["sha256"], columns.read["view"], columns.dtype)
    return index, columns.read["embedding"] if values else np.empty((0, dimension))


def state_of(path: Path) -> State | None:
    """What changes when a file does; None where there is none."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path, state: State | None) -> ReadShard:
    try:
        return ReadShard(path, state, verified_bytes(path))
    except DamagedShard as error:
        return ReadShard(path, state, error)
