"""Means of a patient's images of one role."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean_of_chosen(matrix: np.ndarray, chosen: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Gives every row the mean over the chosen rows of its owner, in double precision.

    Args:
        matrix: Embeddings. Shape (n, D).
        chosen: Rows that count; each has an embedding. Bool (n,).
        owners: Number of each row's owner, from 0. Shape (n,).

    Returns:
        Shape (n, D), of the type of `matrix`; NaN in rows whose owner has no chosen row.
    """
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(owners[rows], kind="stable")]
    found = np.full_like(matrix, np.nan)
    if not len(rows):
        return found
    own, starts, counts = np.unique(owners[rows], return_index=True, return_counts=True)
    means = np.full((int(owners.max()) + 1, matrix.shape[1]), np.nan, dtype=matrix.dtype)
    single = counts == 1
    means[own[single]] = matrix[rows[starts[single]]]
    for owner, start, count in zip(own[~single], starts[~single], counts[~single], strict=True):
        means[owner] = matrix[rows[start : start + count]].mean(axis=0, dtype=np.float64)
    return means[owners]


def bags_of_chosen(
    keys: Sequence[str], chosen: np.ndarray, owners: np.ndarray
) -> list[tuple[str, ...]]:
    """Gives every row the bags of the chosen rows of its owner, as one bag.

    Args:
        keys: Bag of each row, empty where it has none; n of them.
        chosen: Rows that count. Bool (n,).
        owners: Number of each row's owner. Shape (n,).
    """
    found: dict[int, dict[str, None]] = {}
    for key, counts, owner in zip(keys, chosen, owners, strict=True):
        if key and counts:
            found.setdefault(int(owner), {})[key] = None
    return [tuple(found.get(int(owner), ())) for owner in owners]
