"""Bags of tiles on disk: whole, found by content, mapped in parts, and never trusted unverified."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import StoreError
from featurestore.store import bags
from featurestore.store.bags import BagFiles, bag_folder, bag_paths, digest_of, write_bag

TILES = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def test_a_bag_is_a_plain_numpy_file_named_by_its_digest(tmp_path: Path) -> None:
    key = write_bag(tmp_path, TILES.shape, TILES.dtype, [TILES[:7], TILES[7:]])
    (path,) = bag_paths(tmp_path)
    assert path == bag_folder(tmp_path) / f"{key}.npy"
    assert digest_of(path) == key
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), TILES)
    assert write_bag(tmp_path, TILES.shape, TILES.dtype, [TILES]) == key
    assert write_bag(tmp_path, TILES.shape, np.dtype("float16"), [TILES]) != key


def test_any_rows_are_read_in_any_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = BagFiles(tmp_path, 4)
    key = write_bag(tmp_path, TILES.shape, TILES.dtype, [TILES])
    for window in (1, 16 * 7, 16_000_000):
        monkeypatch.setattr(bags, "WINDOW_BYTES", window)
        assert files.tiles(key) == 50
        np.testing.assert_array_equal(files.read(key), TILES)
        rows = np.array([0, 6, 7, 13, 49])
        np.testing.assert_array_equal(files.read(key, rows), TILES[rows])
        parts = [(first, part.copy()) for first, part in files.windows(key)]
        assert all(len(part) <= max(1, window // 16) for _, part in parts)
        np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), TILES)


def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def breaking() -> object:
        yield TILES[:3]
        raise ValueError("read error")

    with pytest.raises(ValueError, match="read error"):
        write_bag(tmp_path, TILES.shape, TILES.dtype, breaking())  # type: ignore[arg-type]
    assert list(bag_folder(tmp_path).iterdir()) == []


def test_a_flipped_bit_a_missing_file_and_a_link_are_found(tmp_path: Path) -> None:
    files = BagFiles(tmp_path, 4)
    key = write_bag(tmp_path, TILES.shape, TILES.dtype, [TILES])
    files.read(key)  # once verified is not for ever
    (path,) = bag_paths(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(StoreError, match=r"damaged; run `melafuse store verify --repair`"):
        files.read(key)
    path.unlink()
    assert files.missing([key, "0" * 64, key]) == [key, "0" * 64]
    with pytest.raises(StoreError, match="is missing"):
        files.tiles(key)
    bag_folder(tmp_path).rmdir()
    bag_folder(tmp_path).symlink_to(tmp_path)
    with pytest.raises(StoreError, match="symbolic link"):
        bag_paths(tmp_path)


def test_another_width_is_refused(tmp_path: Path) -> None:
    key = write_bag(tmp_path, TILES.shape, TILES.dtype, [TILES])
    with pytest.raises(StoreError, match="no bag of tiles with 5 numbers each"):
        BagFiles(tmp_path, 5).read(key)
