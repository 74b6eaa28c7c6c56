"""Bags of tiles to one vector, in one pass and in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from featurestore.imports.base import Bag, UnreadableFeatures

Pooling = Literal["mean", "max", "mean+std", "none"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
"""With `none` the bag is kept; what stands for it where a vector is needed is its mean."""


def pooled_width(pool: Pooling, width: int) -> int:
    """Length of a pooled vector."""
    return 2 * width if pool == "mean+std" else width


def pool_bag(bag: Bag, pool: Pooling) -> np.ndarray:
    """Pools a bag.

    A bag of one row is that row under `mean` and `max`, to the bit. `mean+std` is the mean beside
    the standard deviation (divisor n), by Chan's update of chunk moments (Chan, Golub and LeVeque
    1983), so that a large mean does not swallow a small deviation. `none` is `mean`.

    Returns:
        Array (width,) of float64; (2 · width,) for `mean+std`.

    Raises:
        UnreadableFeatures: The bag has no row, a value that is not finite, or cannot be read.
    """
    count, mean = 0, np.zeros(bag.width)
    squares, largest = np.zeros(bag.width), np.full(bag.width, -np.inf)
    for chunk in finite_chunks(bag):
        n = len(chunk)
        if pool == "max":
            largest = np.maximum(largest, chunk.max(axis=0))
        else:
            own = chunk.mean(axis=0) if n > 1 else chunk[0]
            delta = own - mean
            if pool == "mean+std":
                squares = squares + ((chunk - own) ** 2).sum(axis=0)
                squares = squares + delta**2 * (count * n / (count + n))
            mean = mean + delta * (n / (count + n)) if count else own
        count += n
    if not count:
        raise UnreadableFeatures("it has no tiles")
    if pool == "max":
        return largest
    return np.concatenate([mean, np.sqrt(squares / count)]) if pool == "mean+std" else mean


def finite_chunks(bag: Bag) -> Iterator[np.ndarray]:
    """Yields the parts of a bag that have rows, in double precision.

    Raises:
        UnreadableFeatures: It changed, has a value that is not finite, or cannot be read.
    """
    for chunk in bag.chunks():
        if chunk.ndim != 2 or chunk.shape[1] != bag.width:
            raise UnreadableFeatures(f"its shape changed to {chunk.shape} while it was read")
        wide = np.asarray(chunk, dtype=np.float64)
        bad = int((~np.isfinite(wide)).sum())
        if bad:
            nan = int(np.isnan(wide).sum())
            what = "missing (NaN)" if nan == bad else "infinite" if not nan else "NaN or infinite"
            raise UnreadableFeatures(f"{bad} of its values are {what}")
        if len(wide):
            yield wide
