"""One thread for sums, so that their last bits are the same in every process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from threadpoolctl import threadpool_limits


class _Region(threading.local):
    limits: contextlib.ExitStack | None = None


_region = _Region()


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Runs torch and BLAS on one thread, and gives the threads back at the end.

    Sums are split between threads, so their last bits depend on the number of threads; on one
    thread a fit is the same in every process. Small fits are also faster so.
    """
    if _region.limits is not None:  # in this thread already: asking all libraries costs time
        yield
        return
    import torch  # before the libraries are asked, so that its own are among them

    threads = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        _region.limits = stack
        stack.callback(setattr, _region, "limits", None)
        torch.set_num_threads(1)
        stack.enter_context(threadpool_limits(limits=1))
        yield


def limit_new_libraries() -> None:
    """Inside `single_thread`: limits libraries too that were loaded after it began."""
    if _region.limits is not None:
        _region.limits.enter_context(threadpool_limits(limits=1))
