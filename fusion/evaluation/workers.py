"""Independent calls in worker processes: of this machine, or of a Dask cluster.

Workers of this machine end with the process that started them. Those of a cluster outlive it; they
see the same folders as this machine (a shared file system), and what they finish is found there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor

from featurestore.errors import ConfigError, one_line

CONNECT_SECONDS = 30
PARENT_CHECK_SECONDS = 0.5

Result = TypeVar("Result")


def run_all(
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    jobs: int,
    scheduler: str | None = None,
) -> Iterator[Result]:
    """Calls `function` with each tuple of arguments and yields results as they come.

    Large arrays in the arguments reach the workers once, through memory maps that are read-only.
    An exception of any call, or Ctrl-C, stops the workers and is raised.

    Args:
        function: Importable by workers.
        calls: Arguments.
        jobs: Worker processes; with 1 the calls run in this process, in order.
        scheduler: Address of a Dask scheduler whose workers make the calls instead; `jobs` then
            means nothing.

    Yields:
        Results, in any order.

    Raises:
        ConfigError: The scheduler cannot be reached, or Dask is not installed.
    """
    if scheduler is not None:
        yield from _on_cluster(function, calls, scheduler)
        return
    if jobs == 1 or len(calls) < 2:
        yield from (function(*call) for call in calls)
        return
    workers = joblib.Parallel(
        n_jobs=min(jobs, len(calls)),
        backend="loky",
        return_as="generator_unordered",
        initializer=_die_with,
        initargs=(os.getpid(),),
    )
    with _without_interrupts():
        results = workers(joblib.delayed(function)(*call) for call in calls)
    try:
        yield from results
    except BaseException:
        with contextlib.suppress(Exception):
            results.close()
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise


def _on_cluster(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], scheduler: str
) -> Iterator[Result]:
    try:
        import distributed
    except ImportError:
        raise ConfigError(
            "ablation.scheduler needs Dask: pip install 'melafuse[cluster]'"
        ) from None
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        reason = one_line(error)
        raise ConfigError(f"ablation.scheduler: cannot reach {scheduler!r}: {reason}") from None
    with client, joblib.parallel_config(backend="dask", client=client):
        # A table that many calls share is sent to the workers once.
        workers = joblib.Parallel(n_jobs=-1, return_as="generator_unordered")
        yield from workers(joblib.delayed(function)(*call) for call in calls)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back inside the block; processes that start in it never see one.

    They would print what they were importing. The process that started them ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with(parent: int) -> None:
    """Ends this worker soon after the process that started it is gone, whatever killed it.

    Otherwise workers of a killed run stay for minutes, with its memory and its open output. The
    watch begins when a worker starts: one that had no call yet must end as well.

    Args:
        parent: Process id of the one that started this worker; it may be gone already.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
