"""A small write into a store, and what may happen before any line of it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from store_example import batch, identity

import featurestore
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
