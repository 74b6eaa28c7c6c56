"""Memory of a device: how many images a pass may have, and what is done when it runs out."""

from __future__ import annotations

from collections.abc import Callable

import torch

SHARE = 0.5
"""Of the free memory, that a pass may take: the rest is for the networks of others."""

DATA_SHARE = 0.25
"""Of the free memory, that decoded pictures may take: the rest is to compute with them."""

MOST = 256
"""Images of a pass that was found; kernels are no faster with more."""

_FIRST = 16


def largest_batch(
    peak_of: Callable[[int], int], limit: int, first: int = _FIRST, most: int = MOST
) -> int:
    """Finds by doubling how many images a pass may have.

    The memory of a pass grows with its images, so a size whose double would pass the limit is the
    last to be tried.

    Args:
        peak_of: Runs a pass of so many images and returns the bytes that it took; it may run out
            of memory.
        limit: Most bytes.
        first: Where the doubling begins.
        most: Where it ends.

    Returns:
        The largest size tried that kept the limit; below `first`, a half or a quarter of it and so
        on, where even that did not, and 1 if nothing did.
    """
    size = min(first, most)
    peak = _peak(peak_of, size)
    while peak is None or peak > limit:
        if size == 1:
            return 1
        size //= 2
        peak = _peak(peak_of, size)
        if peak is not None and peak <= limit:
            return size
    while 2 * size <= most and 2 * peak <= limit:
        larger = _peak(peak_of, 2 * size)
        if larger is None or larger > limit:
            break
        size, peak = 2 * size, larger
    return size


def _peak(peak_of: Callable[[int], int], size: int) -> int | None:
    try:
        return peak_of(size)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release_memory()  # after the error, which holds the tensors of the pass
    return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had no memory left: PyTorch's allocator, or a library beside it."""
    texts = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(t in str(error) for t in texts)


def free_memory(device: torch.device) -> int:
    """Bytes of a CUDA device that nobody has, and those that this process keeps for reuse."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


def peak_of_run(device: torch.device, run: Callable[[], object]) -> int:
    """Bytes that a run on a CUDA device takes beyond those taken before."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def release_memory() -> None:
    """Gives back what no tensor holds; to be called outside the handler of the error."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
