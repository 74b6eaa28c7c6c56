"""What a reader of features is: one class a format that yields bags and says what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

CHUNK_BYTES = 16_000_000
"""Bytes of a bag that are read at a time; pooling them in double precision takes several times
that."""

LARGEST_WIDTH = 1_000_000
"""Numbers of one embedding; more is a mistake, or an attack."""


class UnreadableFeatures(Exception):
    """A file, or one bag of it, that cannot be used; the message is the reason, in a few words."""


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What the user said of the content of files; every reader takes what concerns it.

    Attributes:
        id: Column of ids (tables).
        patient: Column of patient ids (tables).
        columns: Shell-style patterns of the columns to read (tables).
        dataset: Name of the dataset or array that holds the features.
        incomplete: Whether rows with a missing value are left out, or the columns that have one.
    """

    id: str = ""
    patient: str = ""
    columns: tuple[str, ...] = ()
    dataset: str = ""
    incomplete: str = "rows"


@dataclasses.dataclass(frozen=True)
class Bag:
    """The features of one image or slide: one row, or one row a tile.

    Attributes:
        id: Id of the image, slide or patient, as the file has it.
        width: Numbers in a row.
        rows: Number of rows.
        chunks: Yields the matrix (rows, width) of float16, float32 or float64 in parts of at most
            about `CHUNK_BYTES`; raises UnreadableFeatures.
        patient: Patient, where the file says it.
        encoder: Encoder, where the file says it.
        left_out: Columns that were left out, because values are missing in them.
    """

    id: str
    width: int
    rows: int
    chunks: Callable[[], Iterator[np.ndarray]]
    patient: str = ""
    encoder: str = ""
    left_out: tuple[str, ...] = ()


class Reader(Protocol):
    """A format."""

    name: str

    def recognises(self, path: Path) -> bool:
        """Whether a file is of this format, by its shape and not by its name; never raises."""
        ...

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields the bags of a file without reading their values.

        Raises:
            UnreadableFeatures: The file is damaged or holds nothing that can be used: it is put
                into quarantine, and the others go on.
            DataError: The options do not go with the file; one line that says what to do.
        """
        ...


def rows_at_a_time(width: int, itemsize: int) -> int:
    """Rows of a chunk."""
    return max(1, CHUNK_BYTES // max(width * itemsize, 1))


def as_matrix_shape(shape: tuple[int, ...], what: str) -> tuple[int, int]:
    """Rows and width of an array of features: (D,), (rows, D) or (1, rows, D).

    Raises:
        UnreadableFeatures: It has another shape.
    """
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 1:
        shape = (1, *shape)
    if len(shape) != 2 or not 1 <= shape[1] <= LARGEST_WIDTH:
        raise UnreadableFeatures(f"{what} has the shape {shape}, not (D,) or (tiles, D)")
    return shape


def require_floats(dtype: np.dtype, what: str) -> None:
    """Raises UnreadableFeatures unless an array holds numbers that floats can hold."""
    if dtype.kind not in "fiu":
        raise UnreadableFeatures(f"{what} holds {dtype}, not numbers")


class RowsInTurn:
    """Single rows of a matrix that is read in parts: asked for in order, it is read once."""

    def __init__(self, parts: Callable[[], Iterator[np.ndarray]]) -> None:
        self._parts = parts
        self._stream: Iterator[np.ndarray] = iter(())
        self._window = np.empty((0, 0))
        self._first = 0

    def row(self, number: int) -> Iterator[np.ndarray]:
        """Yields one row as a matrix (1, width).

        Raises:
            UnreadableFeatures: The matrix ends before it.
        """
        if number < self._first or not len(self._window):
            self._stream, self._first, self._window = self._parts(), 0, np.empty((0, 0))
        while number >= self._first + len(self._window):
            self._first += len(self._window)
            part = next(self._stream, None)
            if part is None:
                raise UnreadableFeatures("it ends before its last row")
            self._window = part
        yield self._window[number - self._first : number - self._first + 1]
