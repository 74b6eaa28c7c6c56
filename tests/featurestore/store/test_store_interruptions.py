"""A writer that ends at any line of its code, by a kill or Ctrl-C, leaves a sound store."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from store_example import NUMBERS, assert_sound, batch, digest, identity

import featurestore
from featurestore.store.maintenance import gc
from featurestore.store.store import FeatureStore

PACKAGE = str(Path(featurestore.__file__).parent)
ROWS = 7


def at_line(number: int | None, act: Callable[[], object]) -> Callable[..., object]:
    """A trace function that acts before line `number` that the package executes, or before any."""
    executed = itertools.count(1)

    def trace(frame: FrameType, event: str, _: object) -> object:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and number in (None, next(executed)):
            act()
        return trace

    return trace


def write_two_batches(root: Path, tell: Callable[[int], object]) -> None:
    """Writes seven rows with two rows a shard, and tells after each batch how many were given."""
    with FeatureStore(root).writer(identity(), shard_rows=2) as writer:
        writer.append(*batch(range(3)))
        tell(3)
        writer.append(*batch(range(3, ROWS)))
        tell(ROWS)


def lines_of_a_write(root: Path) -> int:
    executed: list[int] = []
    write_traced(root, lambda rows: None, at_line(None, lambda: executed.append(1)))
    return len(executed)


def write_traced(root: Path, tell: Callable[[int], object], trace: Callable[..., object]) -> None:
    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        write_two_batches(root, tell)
    finally:
        sys.settrace(previous)


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


def rows_given_by_a_writer_killed_at(number: int, root: Path) -> int:
    """Forks, so that the writer needs not be imported anew for each line."""
    listening, telling = os.pipe()
    child = os.fork()
    if child == 0:
        kill = at_line(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        write_traced(root, lambda rows: os.write(telling, bytes([rows])), kill)
        os._exit(1)
    os.close(telling)
    _, status = os.waitpid(child, 0)
    told = os.read(listening, 10)
    os.close(listening)
    assert os.WIFSIGNALED(status)
    return told[-1] if told else 0


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill or an interruption loses nothing that the kernel has, so nothing need be synced."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_disk")
def test_killed_before_any_line_of_a_write(tmp_path: Path) -> None:
    lines = lines_of_a_write(tmp_path / "whole")
    assert lines > 100
    for number in range(1, lines + 1, 5):
        root = tmp_path / str(number)
        given = rows_given_by_a_writer_killed_at(number, root)
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
