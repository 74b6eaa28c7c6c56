"""Files that would block or flood their reader are refused in the words of the system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from featurestore.bounded import read_bytes, read_text


def test_a_plain_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("ä\n", encoding="utf-8")
    assert read_bytes(path, 3) == b"\xc3\xa4\n"
    assert read_text(path) == "ä\n"


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"123")
    for path, said in (
        (tmp_path / "pipe", "no file"),
        (Path("/dev/zero"), "no file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "large", "larger than 2 bytes"),
        (tmp_path / "none", "No such file"),
    ):
        with pytest.raises(OSError, match=said) as error:
            read_bytes(path, 2)
        assert error.value.filename == str(path) or error.value.filename == path
        assert error.value.strerror
