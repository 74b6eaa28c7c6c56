"""A sealed file is what was written, or it is refused, whatever happens between."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pandas as pd
import pytest

import featurestore.sealed
from featurestore.sealed import (
    DamagedFile,
    read_sealed,
    read_sealed_table,
    read_sealed_text,
    seal_of,
    sealing,
    write_sealed_table,
    write_sealed_text,
)


def test_the_file_is_what_it_would_be_without_its_seal(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.5, None], "b": ["x", "ÿ"]})
    write_sealed_table(tmp_path / "new" / "t.parquet", table)
    table.to_parquet(tmp_path / "plain.parquet", index=False)
    path = tmp_path / "new" / "t.parquet"
    assert path.read_bytes() == (tmp_path / "plain.parquet").read_bytes()
    pd.testing.assert_frame_equal(read_sealed_table(path, ""), table)
    checked = subprocess.run(
        ["sha256sum", "--check", "t.parquet.sha256"], cwd=path.parent, capture_output=True
    )
    assert checked.returncode == 0, checked.stderr


def test_what_changed_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_text(path, "{}\n")
    path.write_text("{ }\n")
    with pytest.raises(DamagedFile, match=r"a\.json is damaged: .*; make it anew"):
        read_sealed_text(path, "make it anew")
    write_sealed_text(path, "[]\n")
    assert read_sealed_text(path, "") == "[]\n"
    seal_of(path).unlink()
    with pytest.raises(DamagedFile, match=r"digest a\.json\.sha256 is gone.*; make it anew"):
        read_sealed_text(path, "make it anew")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_sealed_text(path, "make it anew")
    path.write_bytes(b"PAR1")
    with pytest.raises(DamagedFile):
        read_sealed_table(path, "")


@pytest.mark.parametrize("step", range(6))
def test_a_crash_leaves_the_old_content_or_the_new(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at any rename or fsync of a replacement."""
    path = tmp_path / "a.txt"
    write_sealed_text(path, "old")
    count = 0
    real = os.fsync

    def dies(descriptor: int) -> None:
        nonlocal count
        if count == step:
            raise KeyboardInterrupt
        count += 1
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dies)
        with pytest.raises(KeyboardInterrupt):
            write_sealed_text(path, "new")
    assert read_sealed_text(path, "") in {"old", "new"}
    write_sealed_text(path, "newer")
    assert read_sealed_text(path, "") == "newer"


def test_a_failed_writer_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_sealed_text(path, "old")

    def fail() -> None:
        with sealing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert read_sealed(path, "") == b"old"


def test_readers_beside_writers_see_whole_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    texts = {f"{k}" * 5000 for k in range(8)}
    write_sealed_text(path, "0" * 5000)
    writers = [
        threading.Thread(target=lambda own=text: [write_sealed_text(path, own) for _ in range(5)])
        for text in sorted(texts)[:4]
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert read_sealed_text(path, "") in texts
    assert read_sealed_text(path, "") in texts
    assert len(seal_of(path).read_text().splitlines()) == 1


def test_a_seal_says_nothing_where_it_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_sealed_text(path, "x")
    for rubbish in (b"", b"\xff\xfe", b"0" * 64, os.urandom(500)):
        seal_of(path).write_bytes(rubbish)
        with pytest.raises(DamagedFile):
            read_sealed(path, "")
    assert featurestore.sealed.SUFFIX == ".sha256"
