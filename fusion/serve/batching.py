"""One thread that computes: what waits is taken together, bounded, and always answered."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


class Overloaded(Exception):
    """Too many jobs wait already."""


class Batcher(Generic[JobT, ResultT]):
    """Works on jobs in a thread of its own, as many together as wait, up to a limit.

    A job never waits for company: the first is taken at once, with those that are there. If a batch
    fails its jobs are tried one by one, so that each gets its own answer.
    """

    def __init__(
        self,
        work: Callable[[Sequence[JobT]], Sequence[ResultT]],
        size: int,
        capacity: int,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Starts the thread.

        Args:
            work: Results of jobs, in their order.
            size: Most jobs that are worked on together.
            capacity: Most jobs that wait.
            around: Context that the thread works in.
        """
        self._around = around
        self._work = work
        self._size = size
        self._jobs: queue.Queue[tuple[JobT, Future[ResultT]] | None] = queue.Queue(capacity)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return self._jobs.qsize()

    def submit(self, job: JobT) -> Future[ResultT]:
        """Hands a job over.

        Raises:
            Overloaded: Too many jobs wait, or the batcher is closing.
        """
        future: Future[ResultT] = Future()
        if self._closed:
            raise Overloaded
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full:
            raise Overloaded from None
        return future

    def close(self, seconds: float | None = None) -> None:
        """Finishes what waits and ends the thread.

        Args:
            seconds: How long that may take; the thread dies with the process otherwise.
        """
        if not self._closed:
            self._closed = True
            with contextlib.suppress(queue.Full):
                self._jobs.put(None, timeout=seconds)
            self._thread.join(seconds)

    def _run(self) -> None:
        with self._around():
            self._serve()

    def _serve(self) -> None:
        open_ = True
        while open_:
            batch = []
            first = self._jobs.get()
            while first is not None:
                batch.append(first)
                if len(batch) == self._size:
                    break
                try:
                    first = self._jobs.get_nowait()
                except queue.Empty:
                    break
            open_ = first is not None
            self._answer([b for b in batch if b[1].set_running_or_notify_cancel()])

    def _answer(self, batch: Sequence[tuple[JobT, Future[ResultT]]]) -> None:
        if not batch:
            return
        try:
            results = self._work([job for job, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for one in batch:
                self._answer([one])
