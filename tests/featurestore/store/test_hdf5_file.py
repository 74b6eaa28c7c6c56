"""HDF5 on a disk that fails at any moment: one error in the system's words, and nothing printed."""

from __future__ import annotations

import errno
import gc
import io
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from featurestore.store.hdf5_file import _Disk, hdf5_file

VALUES = np.arange(60_000, dtype=np.float32).reshape(-1, 60)


def fill(path: Path) -> None:
    with hdf5_file(path, "w") as file:
        group = file.create_group("g")
        group.create_dataset("v", VALUES.shape, VALUES.dtype)
        group["v"][:500] = VALUES[:500]
        group["v"][500:] = VALUES[500:]
        group.create_dataset("ids", data=["a", "ü"], dtype=h5py.string_dtype())


def total(path: Path) -> float:
    with hdf5_file(path, "r") as file:
        return float(file["g"]["v"][:].sum()) + len(file["g"]["ids"].asstr()[1])


def test_it_is_an_ordinary_hdf5_file(tmp_path: Path) -> None:
    fill(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["g/v"], VALUES)
        assert list(file["g/ids"].asstr()) == ["a", "ü"]
    assert total(tmp_path / "a.h5") == float(VALUES.sum()) + 1


@pytest.mark.parametrize("call", ["pwrite", "preadv", "ftruncate"])
def test_a_failure_is_told_once_whenever_it_comes(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.h5"
    real, left = getattr(os, call), 0

    def failing(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.EIO, "the disk burns")
        return real(*arguments)

    monkeypatch.setattr(f"featurestore.store.hdf5_file.os.{call}", failing)
    told = []
    for left_at_first in range(60):
        left = left_at_first
        try:
            fill(path)
            total(path)
        except OSError as error:
            told.append(error.strerror)
        gc.collect()
        if left >= 0:
            break
    assert told == ["the disk burns"] * left_at_first
    assert told
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_caller_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), hdf5_file(tmp_path / "a.h5", "w"):
        raise KeyError("mine")


def test_the_file_that_hdf5_sees_reads_and_writes_as_others(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb+", buffering=0) as raw:
        disk = _Disk(raw.fileno())
        assert disk.write(b"abcdef") == disk.tell() == 6
        assert disk.seek(-2, io.SEEK_END) == 4
        buffer = bytearray(b"....")
        assert disk.readinto(buffer) == 2
        assert buffer == b"ef\0\0"
        assert disk.seek(-5, io.SEEK_CUR) == 1
        assert disk.truncate() == 1
    assert (tmp_path / "a").read_bytes() == b"a"
