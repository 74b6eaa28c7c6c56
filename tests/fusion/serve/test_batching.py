"""Jobs of several threads are done together, and no more of them wait than may."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from fusion.serve.batching import Batcher, Overloaded


def test_jobs_are_batched_answered_and_bounded() -> None:
    held, seen = threading.Event(), []

    def work(jobs: Any) -> list[int]:
        held.wait(10)
        seen.append(list(jobs))
        if 3 in jobs:
            raise ValueError("three")
        return [2 * job for job in jobs]

    batcher = Batcher[int, int](work, size=4, capacity=5)
    first = batcher.submit(0)
    time.sleep(0.1)  # it is being worked on
    rest = [batcher.submit(k) for k in range(1, 6)]
    with pytest.raises(Overloaded):
        batcher.submit(6)
    held.set()
    assert first.result(5) == 0
    assert [f.result(5) for k, f in enumerate(rest, 1) if k != 3] == [2, 4, 8, 10]
    with pytest.raises(ValueError, match="three"):
        rest[2].result(5)
    batcher.close()
    with pytest.raises(Overloaded):
        batcher.submit(1)
    assert seen[0] == [0]
    assert [1, 2, 3, 4] in seen
