from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from extractor.stages import forward_threads, in_order, worker_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_when_even(i: int) -> int:
        time.sleep(0.002 * (i % 2 == 0))
        return i * i

    with worker_threads(4) as pool:
        assert list(in_order(pool, slow_when_even, range(30), 7)) == [i * i for i in range(30)]


def test_items_are_drawn_no_further_ahead_than_allowed() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for i in range(50):
            drawn.append(i)
            yield i

    with worker_threads(2) as pool:
        for position, _ in enumerate(in_order(pool, lambda i: i, items(), 5)):
            assert len(drawn) <= position + 6
    assert len(drawn) == 50


def test_an_error_in_a_thread_reaches_the_caller_and_the_rest_is_dropped() -> None:
    begun: list[int] = []

    def fail_at_three(i: int) -> int:
        begun.append(i)
        if i == 3:
            raise ValueError("three")
        return i

    with pytest.raises(ValueError, match="three"), worker_threads(1) as pool:
        list(in_order(pool, fail_at_three, range(1000), 2))
    assert len(begun) < 10


def test_torch_computes_with_one_thread_inside_and_as_before_outside() -> None:
    before = torch.get_num_threads()
    inside: set[int] = set()
    gate = threading.Barrier(2, timeout=10)

    def look(_: int) -> None:
        gate.wait()
        inside.add(torch.get_num_threads())

    with forward_threads(2) as pool:
        list(in_order(pool, look, range(4), 2))
    assert inside == {1}
    assert torch.get_num_threads() == before
