"""A writer that ends at any line of its code, by a kill or Ctrl-C, leaves a sound store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_example import NUMBERS, assert_sound, batch, digest, identity
from store_lines_example import ROWS, at_line, lines_of_a_write, write_traced

from featurestore.store.maintenance import gc
from featurestore.store.store import FeatureStore

KILLER = Path(__file__).with_name("store_killed.py")


def assert_resumes(root: Path) -> None:
    store = FeatureStore(root)
    gc(store)
    assert list(root.rglob("*.part")) == []
    missing = store.missing(identity(), [digest(k) for k in range(ROWS)])
    with store.writer(identity(), shard_rows=2) as writer:
        for number in (NUMBERS[sha256] for sha256 in missing):
            writer.append(*batch(range(number, number + 1)))
    assert assert_sound(store) == {digest(k) for k in range(ROWS)}
    assert list(root.rglob("*.part")) == []


def killed_writers(root: Path, step: int) -> dict[int, int]:
    """Writers killed before every `step`-th line: how many rows each was told were given."""
    command = [sys.executable, str(KILLER), "kill", str(root), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return {int(number): int(given) for number, given in map(str.split, done.stdout.splitlines())}


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill or an interruption loses nothing that the kernel has, so nothing need be synced."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_disk")
def test_killed_before_any_line_of_a_write(tmp_path: Path) -> None:
    writers = killed_writers(tmp_path, 5)
    assert len(writers) > 20
    for number, given in writers.items():
        root = tmp_path / str(number)
        if not (root / "encoders").is_dir():
            assert not given
            continue
        in_full_shards = given // 2 * 2
        assert {digest(k) for k in range(in_full_shards)} <= assert_sound(FeatureStore(root))
        assert_resumes(root)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_disk")
def test_interrupted_before_any_line_of_a_write(tmp_path: Path) -> None:
    """Ctrl-C at every second line: rows whose `append` had ended are kept, no row is spoilt."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    lines = lines_of_a_write(tmp_path / "whole")
    kept = 0
    for number in range(1, lines + 1, 2):
        root = tmp_path / str(number)
        given: list[int] = []
        with pytest.raises(KeyboardInterrupt):
            write_traced(root, given.append, at_line(number, interrupt))
        if not (root / "encoders").is_dir():
            assert not given
            continue
        present = assert_sound(FeatureStore(root))
        # Once all were given, the interruption hit the commit that leaving the block makes.
        promised = given[-1] // 2 * 2 if ROWS in given else sum(given)
        assert {digest(k) for k in range(promised)} <= present, number
        assert list(root.rglob("*.part")) == []
        kept += promised > 0
        if number % 9 == 0:
            assert_resumes(root)
    assert kept > 50
