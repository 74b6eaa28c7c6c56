"""Pooling against NumPy, in any parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featurestore.imports import Bag, UnreadableFeatures
from featurestore.imports.pooling import POOLINGS, Pooling, pool_bag, pooled_width

MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=30),
    elements=st.floats(-1e6, 1e6, width=32),
)


def bag(matrix: np.ndarray, step: int) -> Bag:
    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(matrix), step):
            yield matrix[start : start + step]

    return Bag("x", matrix.shape[1], len(matrix), chunks)


@given(MATRICES, st.integers(1, 31), st.sampled_from(POOLINGS))
def test_any_parts_give_what_numpy_gives_of_the_whole(
    matrix: np.ndarray, step: int, pool: Pooling
) -> None:
    wide = matrix.astype(np.float64)
    expected = {
        "mean": wide.mean(axis=0),
        "max": wide.max(axis=0),
        "none": wide.mean(axis=0),
        "mean+std": np.concatenate([wide.mean(axis=0), wide.std(axis=0)]),
    }[pool]
    pooled = pool_bag(bag(matrix, step), pool)
    assert pooled.shape == (pooled_width(pool, matrix.shape[1]),)
    np.testing.assert_allclose(pooled, expected, rtol=1e-10, atol=1e-9 * np.abs(wide).max())


@given(MATRICES.filter(lambda m: len(m) > 0))
def test_one_row_is_itself_to_the_bit(matrix: np.ndarray) -> None:
    for pool in ("mean", "max"):
        pooled = pool_bag(bag(matrix[:1], 1), pool)  # type: ignore[arg-type]
        assert pooled.astype(np.float32).tobytes() == matrix[0].tobytes()


def test_a_large_mean_does_not_swallow_a_small_deviation() -> None:
    matrix = 1e6 + np.random.default_rng(0).normal(size=(5000, 2)) * 1e-3
    pooled = pool_bag(bag(matrix, 7), "mean+std")
    np.testing.assert_allclose(pooled[2:], matrix.std(axis=0), rtol=1e-6)


def test_what_cannot_be_pooled() -> None:
    with pytest.raises(UnreadableFeatures, match="it has no tiles"):
        pool_bag(bag(np.empty((0, 3)), 1), "mean")
    with pytest.raises(UnreadableFeatures, match="2 of its values are NaN or infinite"):
        pool_bag(bag(np.array([[1.0, np.nan], [np.inf, 2.0]]), 2), "mean")
