"""Bags of tiles that are kept whole: one immutable NumPy file a bag, named by its SHA-256.

Beside the shards of an encoder whose bags are kept (`pooling` is `none`) lies a folder `bags`; the
shards have the mean of each bag, under the digest of its file. A plain matrix can be mapped into
memory, and read row by row by any language; a flipped bit is found by the name, as in a shard.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np

from featurestore.atomic import appearing_in
from featurestore.errors import StoreError

KEPT = "none"
"""Pooling of an encoder whose bags are kept."""

BAG_NAME = re.compile(r"[0-9a-f]{64}\.npy")
WINDOW_BYTES = 16_000_000
"""Bytes of a bag that are mapped at a time: pages of a mapping count as this process's memory."""

_READ_BYTES = 1 << 20
_verified: set[tuple[str, int, int, int]] = set()


def bag_folder(encoder_folder: Path) -> Path:
    """Folder of an encoder's bags."""
    return encoder_folder / "bags"


def bag_paths(encoder_folder: Path) -> list[Path]:
    """Bags of an encoder, sorted by name.

    Raises:
        StoreError: The folder is a symbolic link.
    """
    folder = bag_folder(encoder_folder)
    if folder.is_symlink():
        raise StoreError(
            f"{folder}: is a symbolic link; link the store's own folder, nothing inside it"
        )
    return sorted(p for p in folder.glob("*.npy") if BAG_NAME.fullmatch(p.name))


def write_bag(
    encoder_folder: Path, shape: tuple[int, int], dtype: np.dtype, parts: Iterable[np.ndarray]
) -> str:
    """Writes a bag so that a reader sees all of it or nothing, and reads it back.

    Args:
        encoder_folder: Folder of the encoder.
        shape: Tiles and width.
        dtype: Type of its values, float32 or float16.
        parts: The matrix in parts of some rows; what they raise ends the writing.

    Returns:
        The digest of the file: the bag's key in the store.

    Raises:
        StoreError: The disk is full, refuses to write or keeps other bytes.
    """
    folder = bag_folder(encoder_folder)
    try:
        with appearing_in(folder) as file:
            digest = hashlib.sha256()
            with file.path.open("wb") as opened:
                matrix = (np.ascontiguousarray(part, dtype=dtype).tobytes() for part in parts)
                for data in itertools.chain([_header(shape, dtype)], matrix):
                    digest.update(data)
                    opened.write(data)
            if digest_of(file.path) != digest.hexdigest():
                raise StoreError(
                    f"{folder}: a bag reads back differently and was not committed; is the disk "
                    "or the memory failing?"
                )
            file.name = f"{digest.hexdigest()}.npy"
    except OSError as error:
        raise StoreError(f"cannot write a bag into {folder}: {error.strerror or error}") from None
    return digest.hexdigest()


def _header(shape: tuple[int, int], dtype: np.dtype) -> bytes:
    header = io.BytesIO()
    facts = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


def digest_of(path: Path) -> str:
    """SHA-256 of a bag's bytes; that of a link or of what cannot be read is empty."""
    if path.is_symlink() or not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@dataclasses.dataclass(frozen=True)
class BagFiles:
    """The kept bags of one encoder.

    Attributes:
        folder: Folder of the encoder.
        dimension: Numbers of a tile.
    """

    folder: Path
    dimension: int

    def missing(self, keys: Collection[str]) -> list[str]:
        """Those of some keys that have no file, each once."""
        there = {path.stem for path in bag_paths(self.folder)}
        return [key for key in dict.fromkeys(keys) if key not in there]

    def tiles(self, key: str) -> int:
        """Number of a bag's tiles.

        Raises:
            StoreError: The bag is missing or damaged.
        """
        return self._mapped(key).shape[0]

    def windows(self, key: str) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the matrix of a bag in mapped parts, each with the number of its first row.

        No more than about `WINDOW_BYTES` are mapped at a time; a part is to be copied from and let
        go before the next is asked for.

        Raises:
            StoreError: The bag is missing or damaged.
        """
        whole = self._mapped(key)
        (rows, width), dtype, offset = whole.shape, whole.dtype, whole.offset
        path = self._path(key)
        del whole
        row_bytes = width * dtype.itemsize
        step = max(1, WINDOW_BYTES // row_bytes)
        for first in range(0, rows, step):
            shape = (min(step, rows - first), width)
            at = offset + first * row_bytes
            yield first, np.memmap(path, dtype=dtype, mode="r", offset=at, shape=shape)

    def read(self, key: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Copies some tiles of a bag, or all of them, in the order of the bag.

        Args:
            key: The bag.
            rows: Numbers of the tiles, ascending; by default all.

        Returns:
            Array (n, dimension) in the stored type.

        Raises:
            StoreError: The bag is missing or damaged.
        """
        found = []
        for first, window in self.windows(key):
            own = slice(None)
            if rows is not None:
                low, high = np.searchsorted(rows, [first, first + len(window)])
                own = rows[low:high] - first  # type: ignore[assignment]
            found.append(np.array(window[own]))
            del window
        return np.concatenate(found)

    def _path(self, key: str) -> Path:
        return bag_folder(self.folder) / f"{key}.npy"

    def _mapped(self, key: str) -> np.memmap:
        """Maps a bag; its bytes are compared with its name once while the file is unchanged."""
        path = self._path(key)
        again = "run `melafuse store verify --repair`, then the import again"
        try:
            status = path.stat(follow_symlinks=False)
        except OSError:
            raise StoreError(f"{path}: this bag of tiles is missing; {again}") from None
        state = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
        if state not in _verified:
            if digest_of(path) != key:
                raise StoreError(f"{path}: this bag of tiles is damaged; {again}")
            _verified.add(state)
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        if matrix.ndim != 2 or matrix.shape[1] != self.dimension or matrix.dtype.kind != "f":
            raise StoreError(f"{path}: no bag of tiles with {self.dimension} numbers each")
        return matrix
