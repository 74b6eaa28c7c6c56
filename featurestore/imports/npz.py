"""NumPy archives: an array an id, or a matrix with ids beside it; nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from featurestore.imports.base import (
    Bag,
    ReadOptions,
    RowsInTurn,
    UnreadableFeatures,
    as_matrix_shape,
    require_floats,
    rows_at_a_time,
)

_SUFFIX = ".npy"
_ID_NAMES = ("ids", "id", "image_id", "image_ids", "slide_id", "slide_ids", "names")
_MOST_IDS = 10_000_000
_ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError)


class NpzReader:
    """`.npz`: either `ids` beside one matrix (n, D), or one array (D,) or (tiles, D) an id."""

    name = "npz"

    def recognises(self, path: Path) -> bool:
        """Whether it is a zip archive of arrays."""
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(_SUFFIX) for name in archive.namelist())
        except _ERRORS:
            return False

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields the bags of a file; see `Reader`."""
        try:
            shapes = _headers(path)
            ids = next((name for name in _ID_NAMES if name in shapes), None)
            rest = [one for one in shapes if one != ids]
            name = options.dataset or (rest[0] if len(rest) == 1 else "")
            if options.dataset and options.dataset not in shapes:
                raise UnreadableFeatures(f"it has no array {name!r} but {', '.join(shapes)}")
            if ids is not None and not name:
                raise UnreadableFeatures(
                    f"it has {len(rest)} arrays beside {ids!r}: name one as `dataset`"
                )
            texts = [] if ids is None else _texts(path, ids)
        except _ERRORS as error:
            raise UnreadableFeatures(_why(error)) from None
        if ids is None:
            for one in [options.dataset] if options.dataset else shapes:
                rows, width = _shape(shapes[one], one)
                yield Bag(one, width, rows, partial(_parts, path, one))
            return
        rows, width = _shape(shapes[name], name)
        if rows != len(texts):
            raise UnreadableFeatures(f"{len(texts)} ids for {rows} rows of {name!r}")
        matrix = RowsInTurn(partial(_parts, path, name))
        for k, text in enumerate(texts):
            yield Bag(text, width, 1, partial(matrix.row, k))


def _shape(header: tuple[tuple[int, ...], np.dtype], name: str) -> tuple[int, int]:
    shape, dtype = header
    require_floats(dtype, f"array {name}")
    return as_matrix_shape(shape, f"array {name}")


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of every array, without its values."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(_SUFFIX):
                with archive.open(member) as file:
                    shape, _, dtype = _header(file)
                found[member.removesuffix(_SUFFIX)] = (shape, dtype)
    return found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _texts(path: Path, name: str) -> list[str]:
    shape, dtype = _headers(path)[name]
    if dtype.kind not in "USiu" or len(shape) != 1 or shape[0] > _MOST_IDS:
        raise UnreadableFeatures(
            f"array {name!r} holds {dtype}; ids are texts (`np.array(ids, dtype='U')`), because "
            "nothing is unpickled"
        )
    with np.load(path, allow_pickle=False) as archive:
        values = archive[name]
    return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values.tolist()]


def _parts(path: Path, name: str) -> Iterator[np.ndarray]:
    """An array in parts."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}{_SUFFIX}") as file:
            shape, fortran, dtype = _header(file)
            rows, width = as_matrix_shape(shape, name)
            if fortran and rows > 1:  # column by column: no part of it is a row
                whole = np.frombuffer(file.read(), dtype).reshape(shape, order="F")
                yield whole.reshape(rows, width)
                return
            step = rows_at_a_time(width, dtype.itemsize)
            for first in range(0, rows, step):
                count = min(step, rows - first)
                data = file.read(count * width * dtype.itemsize)
                yield np.frombuffer(data, dtype).reshape(count, width)
    except _ERRORS as error:
        raise UnreadableFeatures(_why(error)) from None


def _why(error: Exception) -> str:
    return f"no readable archive of arrays ({' '.join(str(error).split())[:100]})"
