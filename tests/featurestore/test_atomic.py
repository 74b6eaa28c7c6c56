"""Files appear whole, and a failure leaves nothing that blocks its own repetition."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from featurestore.atomic import appearing, replacing, write_text


def test_what_cannot_be_made_durable_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at the last step: the file has its name, and the folder cannot be synced."""
    real = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match="Input/output"):
        write_text(path, "whole")
    assert path.read_text() == "whole"
    path.unlink()
    with pytest.raises(OSError, match="Input/output"), appearing(path):
        write_text(path, "whole")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_taken_away_and_bugs_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "new"

    def spoil(error: Exception) -> None:
        with appearing(folder):
            folder.mkdir()
            (folder / "a").write_text("a")
            raise error

    with pytest.raises(OSError, match="full"):
        spoil(OSError(errno.ENOSPC, "full"))
    assert not folder.exists()
    with pytest.raises(ValueError, match="bug"):
        spoil(ValueError("bug"))
    assert (folder / "a").exists()


def test_a_failed_block_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
