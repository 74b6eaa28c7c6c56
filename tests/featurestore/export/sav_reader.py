"""Reads the SPSS system files that `featurestore.export.spss` writes, with code of its own.

The Python libraries that read them share their code with the one that writes them, so this follows
the format as the PSPP developers' guide describes it, and nothing that such a file cannot have (it
is uncompressed, little-endian and UTF-8).
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np

from featurestore.errors import StoreError

_SYSTEM_MISSING = -np.finfo(np.float64).max
_SEGMENT = 255  # bytes of a very long text in each of its segments
_SEGMENT_CELLS = 32  # 8-byte cells that a segment of 255 bytes takes


@dataclasses.dataclass
class SavColumn:
    """A column as the file describes it.

    Attributes:
        short: Name of 8 characters that other records refer to.
        width: 0 for a number, else the width of a text in bytes.
        cell: First 8-byte cell of the column in a row.
        label: Label.
        format: Type number of the print format (20 is DATE).
        missing: Lowest and highest user-missing value; None where there is none.
        name: Long name.
        value_labels: Label by value.
        values: float64 with NaN for system-missing, or bytes without padding. Shape (n,).
    """

    short: str
    width: int
    cell: int
    label: str
    format: int
    missing: tuple[float, float] | None
    name: str = ""
    value_labels: dict[float, str] = dataclasses.field(default_factory=dict)
    values: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))


@dataclasses.dataclass(frozen=True)
class SavFile:
    """A system file."""

    label: str
    columns: tuple[SavColumn, ...]
    rows: int


def read_sav(path: Path) -> SavFile:
    """Reads an uncompressed system file.

    Raises:
        StoreError: The file is not laid out like one.
    """
    data = path.read_bytes()
    if data[:4] != b"$FL2" or struct.unpack_from("<ii", data, 64)[0] not in (2, 3):
        raise StoreError(f"{path}: no system file; not written")
    compression, _, cases = struct.unpack_from("<iii", data, 72)
    if compression != 0:
        raise StoreError(f"{path}: a compressed system file; not written")
    label = data[109:173].rstrip(b" ").decode()
    return _Dictionary(data).read(label, cases)


class _Dictionary:
    """The records before the data."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 176
        self._columns: list[SavColumn] = []
        self._cells = 0
        self._widths: dict[str, int] = {}

    def read(self, label: str, cases: int) -> SavFile:
        while (kind := self._int()) != 999:
            if kind == 2:
                self._variable()
            elif kind == 3:
                self._value_labels()
            elif kind == 6:
                self._place += 80 * self._int()
            elif kind == 7:
                self._extension()
            else:
                raise StoreError(f"a system file has a record of unknown type {kind}; not written")
        self._int()
        columns = self._joined()
        self._fill(columns, cases)
        return SavFile(label, tuple(columns), cases)

    def _int(self) -> int:
        self._place += 4
        return int(struct.unpack_from("<i", self._data, self._place - 4)[0])

    def _bytes(self, size: int) -> bytes:
        self._place += size
        return self._data[self._place - size : self._place]

    def _variable(self) -> None:
        width, has_label, n_missing, form, _ = (self._int() for _ in range(5))
        short = self._bytes(8).rstrip(b" ").decode()
        label, missing = "", None
        if has_label:
            size = self._int()
            label = self._bytes(-(-size // 4) * 4)[:size].decode()
        limits = struct.unpack(f"<{abs(n_missing)}d", self._bytes(8 * abs(n_missing)))
        if n_missing:
            missing = (limits[0], limits[-1]) if n_missing == -2 else (min(limits), max(limits))
        if width >= 0:
            column = SavColumn(short, width, self._cells, label, form >> 16 & 0xFF, missing, short)
            self._columns.append(column)
        self._cells += 1

    def _value_labels(self) -> None:
        labels = {}
        for _ in range(self._int()):
            value = struct.unpack("<d", self._bytes(8))[0]
            size = self._bytes(1)[0]
            labels[value] = self._bytes(-(-(size + 1) // 8) * 8 - 1)[:size].decode()
        if self._int() != 4:
            raise StoreError("a system file has value labels of no variable; not written")
        cells = {self._int() - 1 for _ in range(self._int())}
        for column in self._columns:
            if column.cell in cells:
                column.value_labels = dict(labels)

    def _extension(self) -> None:
        subtype, size, count = self._int(), self._int(), self._int()
        body = self._bytes(size * count)
        pairs = (pair.partition("=") for pair in body.decode(errors="replace").split("\t") if pair)
        if subtype == 13:
            names = {short: name for short, _, name in pairs}
            for column in self._columns:
                column.name = names.get(column.short, column.short)
        elif subtype == 14:
            self._widths = {short: int(width.rstrip("\0")) for short, _, width in pairs}

    def _joined(self) -> list[SavColumn]:
        """Columns without the further segments of very long texts."""
        columns, skip = [], 0
        for column in self._columns:
            if skip:
                skip -= 1
                continue
            column.width = self._widths.get(column.short, column.width)
            skip = -(-column.width // 252) - 1 if column.width > _SEGMENT else 0
            columns.append(column)
        return columns

    def _fill(self, columns: list[SavColumn], cases: int) -> None:
        size = cases * self._cells * 8
        body = self._data[self._place : self._place + size]
        if len(body) != size or len(self._data) != self._place + size:
            raise StoreError("a system file has another number of rows than it says; not written")
        numbers = np.frombuffer(body, dtype="<f8").reshape(cases, self._cells)
        for column in columns:
            if column.width == 0:
                values = numbers[:, column.cell].copy()
                values[values == _SYSTEM_MISSING] = np.nan
                column.values = values
                continue
            cells = np.ascontiguousarray(
                numbers[:, column.cell : column.cell + _cells_of(column.width)]
            ).view(np.uint8)
            column.values = np.array([_text(row, column.width) for row in cells], dtype=object)


def _cells_of(width: int) -> int:
    if width <= _SEGMENT:
        return -(-width // 8)
    whole = -(-width // 252) - 1
    return whole * _SEGMENT_CELLS + -(-(width - whole * 252) // 8)


def _text(row: np.ndarray, width: int) -> bytes:
    data = row.tobytes()
    if width > _SEGMENT:
        step = _SEGMENT_CELLS * 8
        data = b"".join(data[k : k + step][:_SEGMENT] for k in range(0, len(data), step))
    return data.rstrip(b" ")
