"""Stages of a pipeline in threads: bounded, ordered, and gone when their block ends."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_order(
    pool: Executor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT], ahead: int
) -> Iterator[ResultT]:
    """Maps in the threads of a pool; results come in the order of the items.

    Items are drawn lazily, and at most `ahead` + 1 of them are with the pool or wait as results.
    """
    pending: deque[Future[ResultT]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


@contextlib.contextmanager
def worker_threads(n: int) -> Iterator[Executor]:
    """A pool of threads; work not begun is dropped when the block ends."""
    pool = ThreadPoolExecutor(n)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch computes with one thread inside, and with as many as before outside.

    A kernel that is split among threads may round differently for another number of them, and
    threads of a split kernel wait for each other busily, which is slow on shared cores.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def forward_threads(n: int) -> Iterator[Executor]:
    """A pool of threads, in each of which torch computes with that one thread only.

    Passes side by side also use the cores better than one pass split up.
    """
    import torch

    with one_torch_thread():
        pool = ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
