"""Tables that gzip packed are read as they are, and bombs and cut files are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables import read_head, read_table
from featurestore.tables.packed import read_unpacked

ROWS = "id,age\n" + "".join(f"P{k},{k}\n" for k in range(3000))


def write(folder: Path, data: bytes) -> Path:
    path = folder / "t.csv.gz"
    path.write_bytes(data)
    return path


def test_a_packed_table(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(ROWS.encode()))
    table = read_table(path)
    assert table.shape == (3000, 2)
    assert table.iloc[-1].tolist() == ["P2999", "2999"]
    assert read_head(path).rows[0] == ("P0", "0")


@given(data=st.binary(max_size=3000), limit=st.integers(1, 4000), split=st.integers(0, 3000))
def test_what_is_unpacked_is_what_was_packed(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, limit: int, split: int
) -> None:
    packed = gzip.compress(data[:split]) + gzip.compress(data[split:])  # two members
    path = write(tmp_path_factory.getbasetemp(), packed)
    found, is_all = read_unpacked(path, limit, whole=False)
    assert data.startswith(found)
    assert len(found) <= limit
    if is_all:
        assert found == data
    if len(packed) <= limit:
        assert is_all == (len(data) <= limit)


def test_what_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000))
    with pytest.raises(DataError, match="more than 100,000 bytes when unpacked"):
        read_table(path, max_bytes=100_000)
    assert len(read_head(path, max_bytes=10_000).rows) == 20


def test_a_cut_or_damaged_file_is_said(tmp_path: Path) -> None:
    packed = gzip.compress(ROWS.encode())
    for data in (packed[:-20], packed[:300], packed[:50] + b"\0" * 50 + packed[100:]):
        with pytest.raises(DataError, match="damaged gzip file"):
            read_table(write(tmp_path, data))
