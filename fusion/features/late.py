"""Embeddings that stay in a file until somebody asks for rows of them.

A table of a million rows would not fit into memory several times over, as single precision, as
double precision, and once for every part that a fit cuts out of it. Here the numbers lie once in a
scratch file, in the type in which they are stored; a part of the table is a list of row numbers,
and what computes with the numbers asks for a few thousand rows at a time.

Worker processes map the same file, so that all of them share one copy in the system's cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.locks import holding, if_free

PART_ROWS = 8192
"""Rows that are computed with at a time where a matrix is gone through."""

SMALL_PART = 1 << 21
"""Numbers that are computed with at a time where it does not matter for the result how many."""

_SUFFIX = ".rows"


class MatrixFile:
    """Rows of numbers in a scratch file, which goes when the process that made it lets go of it.

    One that a killed process left goes when another is made in its folder.

    Attributes:
        shape: Rows and columns.
        dtype: Type of the numbers.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], dtype: np.dtype) -> None:
        """Makes a file of zeros.

        Args:
            folder: Where; worker processes must see it too.
            shape: Rows and columns; none of them 0.
            dtype: Type of the numbers.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # A file that is not locked yet is no orphan.
        with holding(folder / ".lock"), contextlib.ExitStack() as in_use:
            _remove_orphans(folder)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=_SUFFIX, delete=False) as file:
                self._path = Path(file.name)
                in_use.callback(self._path.unlink, missing_ok=True)
                file.truncate(shape[0] * shape[1] * dtype.itemsize)
            in_use.enter_context(holding(self._path, shared=True))
            self._end = weakref.finalize(self, in_use.pop_all().close)
        self.shape, self.dtype = shape, dtype
        self._map: np.memmap | None = None

    def writable(self) -> np.ndarray:
        """The numbers, to be filled; shape `shape`."""
        return np.memmap(self._path, self.dtype, "r+", shape=self.shape)

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        """Copies rows, in the type of the file."""
        if self._map is None:
            self._map = np.memmap(self._path, self.dtype, "r", shape=self.shape)
        return np.array(self._map[rows])

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: where the file is. It maps it, and does not remove it."""
        return {"_path": self._path, "shape": self.shape, "dtype": self.dtype, "_map": None}


def _remove_orphans(folder: Path) -> None:
    for path in folder.glob(f"*{_SUFFIX}"):
        with if_free(path) as orphan:
            if orphan:
                path.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class LateMatrix:
    """Some rows of matrices in files, side by side, where an array (n, D) could stand.

    Attributes:
        files: The matrices.
        rows: Which of their rows, in order. Shape (n,).
        present: Whether a row of the table has any numbers; bool (n,).
    """

    files: tuple[MatrixFile, ...]
    rows: np.ndarray
    present: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), sum(file.shape[1] for file in self.files)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """Reads rows, `NaN` where one has no numbers; float32."""
        chosen = self.rows[rows]
        found = [file.read(chosen).astype(np.float32) for file in self.files]
        return found[0] if len(found) == 1 else np.hstack(found)

    def take(self, rows: np.ndarray) -> LateMatrix:
        """Other rows of it, or the same in another order; nothing is read."""
        return LateMatrix(self.files, self.rows[rows], self.present[rows])


Matrix = np.ndarray | LateMatrix
"""Rows of numbers (n, D), in memory or not."""


class LateEmbeddings(Mapping[str, np.ndarray]):
    """Embeddings of a table by name, in files; one that is asked for by name is read whole."""

    def __init__(
        self,
        files: Mapping[str, MatrixFile],
        rows: np.ndarray,
        present: Mapping[str, np.ndarray],
    ) -> None:
        """Names rows of files.

        Args:
            files: By name; all have the same number of rows.
            rows: Which rows of the files, in order. Shape (n,).
            present: By name which of those rows have numbers; bool (n,).
        """
        self._files = dict(files)
        self._rows = rows
        self._present = dict(present)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.matrix([name])[:]

    def __contains__(self, name: object) -> bool:
        return name in self._files  # the inherited answer would read the matrix

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def matrix(self, names: Sequence[str]) -> LateMatrix:
        """Embeddings side by side, to be read in parts."""
        there = np.any([self._present[name] for name in names], axis=0)
        return LateMatrix(tuple(self._files[name] for name in names), self._rows, there)

    def take(self, rows: np.ndarray) -> LateEmbeddings:
        """The same of other rows; nothing is read."""
        present = {name: there[rows] for name, there in self._present.items()}
        return LateEmbeddings(self._files, self._rows[rows], present)


def taken(embeddings: Mapping[str, np.ndarray], rows: np.ndarray) -> Mapping[str, np.ndarray]:
    """Rows of all embeddings of a table, given by an integer or boolean index."""
    if isinstance(embeddings, LateEmbeddings):
        return embeddings.take(rows)
    return {name: matrix[rows] for name, matrix in embeddings.items()}


def parts_of(length: int, size: int = PART_ROWS) -> Iterator[slice]:
    """Slices of at most `size` rows; one, empty or not, where there are no more."""
    ends = [*range(0, length, size), length] if length else [0, 0]
    return (slice(a, b) for a, b in itertools.pairwise(ends))


def small_parts(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the rows of a matrix, for sums row after row and for what is done number by number.

    Args:
        shape: Of the matrix.
    """
    return parts_of(shape[0], max(1, min(PART_ROWS, SMALL_PART // max(shape[1], 1))))


def without_numbers(matrix: Matrix) -> np.ndarray:
    """Rows that are missing; bool (n,)."""
    if isinstance(matrix, LateMatrix):
        return ~matrix.present
    return np.asarray(np.isnan(matrix).all(axis=1))
