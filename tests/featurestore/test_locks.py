"""A lock that is asked for without waiting."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from featurestore.locks import holding, unless_held


def test_who_comes_second_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with unless_held(path) as first:
        assert first
        with unless_held(path) as second:
            assert not second
    with holding(path), unless_held(path) as third:
        assert not third
    with unless_held(path) as again:
        assert again


def test_a_lock_on_a_removed_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with unless_held(path) as first:
        path.unlink()
        with unless_held(path) as second:
            assert first
            assert second


def test_without_locks_everybody_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with unless_held(tmp_path / "lock") as free:
        assert free
