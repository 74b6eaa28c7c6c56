"""Reads the SAS transport files that `featurestore.export.sas` writes, with code of its own.

No other Python library reads version 8 than the one that writes it, so this follows the record
layout that SAS publishes ("Record Layout of a SAS Version 8 or 9 Data Set in SAS Transport
(XPORT) Format"), and nothing that such a file cannot have.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np

from featurestore.errors import StoreError

_RECORD = 80
_NAMESTR = struct.Struct(">hhhh8s40s8shhh2s8shhi32sh18s")


@dataclasses.dataclass(frozen=True)
class XportColumn:
    """A column as the file describes it.

    Attributes:
        name: Long name.
        label: Long label.
        format: Name of the display format, such as `DATE`.
        values: float64 with NaN for missing, or an array of bytes without padding. Shape (n,).
        is_text: Whether it is a character variable.
    """

    name: str
    label: str
    format: str
    values: np.ndarray
    is_text: bool


@dataclasses.dataclass(frozen=True)
class XportFile:
    """The one data set of a file."""

    name: str
    label: str
    columns: tuple[XportColumn, ...]
    rows: int


def read_xport(path: Path) -> XportFile:
    """Reads a transport file of version 8 with one data set.

    Raises:
        StoreError: The file is not laid out like one.
    """
    data = path.read_bytes()
    cursor = _Cursor(data, path)
    cursor.expect("LIBV8")
    cursor.take(2)
    cursor.expect("MEMBV8")
    cursor.expect("DSCPTV8")
    member, label = cursor.take(1), cursor.take(1)[32:72]
    count = int(cursor.expect("NAMSTV8")[48:58])
    packed = cursor.padded(_NAMESTR.size * count)
    fields = [_NAMESTR.unpack_from(packed, k * _NAMESTR.size) for k in range(count)]
    labels = {n: f[5].rstrip(b" ").decode() for n, f in enumerate(fields, start=1) if f[16] <= 40}
    header = cursor.expect("LABELV8", "OBSV8")
    if b"LABELV8" in header:
        labels |= cursor.long_labels(int(header[48:].split()[0]))
        header = cursor.expect("OBSV8")
    width = sum(field[2] for field in fields)
    rows = int(header[48:63])
    body = data[cursor.place : cursor.place + rows * width]
    if len(body) != rows * width:
        raise StoreError(f"{path}: the transport file ends early; not written")
    table = (
        np.frombuffer(body, dtype=np.uint8).reshape(rows, width) if width else np.empty((rows, 0))
    )
    columns = tuple(_column(field, labels.get(n, ""), table) for n, field in enumerate(fields, 1))
    return XportFile(member[8:40].rstrip().decode(), label.rstrip(b" \0").decode(), columns, rows)


class _Cursor:
    """A place in the file that moves on by records of 80 bytes."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.path, self.place = data, path, 0

    def take(self, records: int) -> bytes:
        start, self.place = self.place, self.place + records * _RECORD
        return self.data[start : self.place]

    def padded(self, size: int) -> bytes:
        start = self.place
        self.place += -(-size // _RECORD) * _RECORD
        return self.data[start : start + size]

    def expect(self, *names: str) -> bytes:
        record = self.take(1)
        if not any(record[20:28].rstrip() == name.encode() for name in names):
            raise StoreError(f"{self.path}: no transport file of version 8; not written")
        return record

    def long_labels(self, count: int) -> dict[int, str]:
        """Labels beyond 40 bytes, by number of the variable."""
        found, start = {}, self.place
        place = start
        for _ in range(count):
            number, name, label = struct.unpack_from(">hhh", self.data, place)
            place += 6 + name
            found[number] = self.data[place : place + label].decode()
            place += label
        self.place = start + -(-(place - start) // _RECORD) * _RECORD
        return found


def _column(field: tuple, label: str, table: np.ndarray) -> XportColumn:
    kind, width, start = field[0], field[2], field[14]
    cells = np.ascontiguousarray(table[:, start : start + width])
    name = field[15].rstrip(b" \0").decode()
    form = field[6].rstrip(b" \0").decode()
    if kind == 2:
        return XportColumn(name, label, form, _texts(cells, width), True)
    return XportColumn(name, label, form, _ibm_to_float(cells), False)


def _texts(cells: np.ndarray, width: int) -> np.ndarray:
    return np.array([row.tobytes().rstrip(b" ") for row in cells], dtype=object)


def _ibm_to_float(cells: np.ndarray) -> np.ndarray:
    """IBM hexadecimal floating point of 8 bytes: sign, 7 bits exponent of 16, 56 bits fraction."""
    bits = cells.view(">u8").reshape(len(cells)).astype(np.uint64)
    fraction = (bits & np.uint64((1 << 56) - 1)).astype(np.float64)
    exponent = ((bits >> np.uint64(56)) & np.uint64(0x7F)).astype(np.int64)
    sign = np.where(bits >> np.uint64(63), -1.0, 1.0)
    values = sign * np.ldexp(fraction, (4 * (exponent - 64) - 56).astype(np.int32))
    return np.where((fraction == 0) & (bits != 0), np.nan, values)
