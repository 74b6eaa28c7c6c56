"""Means by role against a mean in a loop."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from fusion.features.role_means import bags_of_chosen, mean_of_chosen

ROWS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=25)


@given(rows=ROWS, seed=st.integers(0, 100))
@settings(max_examples=60)
def test_each_row_gets_the_mean_over_the_chosen_rows_of_its_owner(
    rows: list[tuple[int, bool]], seed: int
) -> None:
    owners = np.array([owner for owner, _ in rows])
    chosen = np.array([taken for _, taken in rows])
    matrix = np.random.default_rng(seed).normal(size=(len(rows), 3)).astype(np.float32)
    found = mean_of_chosen(matrix, chosen, owners)
    assert found.dtype == np.float32
    for k, owner in enumerate(owners):
        own = [
            matrix[i].astype(float) for i in range(len(rows)) if chosen[i] and owners[i] == owner
        ]
        if own:
            np.testing.assert_allclose(found[k], sum(own) / len(own), rtol=1e-6)
        else:
            assert np.isnan(found[k]).all()


def test_a_single_image_is_its_own_mean_to_the_bit() -> None:
    matrix = np.array([[0.1, 1e-30], [3.0, 4.0]], dtype=np.float32)
    found = mean_of_chosen(matrix, np.array([True, False]), np.array([0, 0]))
    assert found.tobytes() == np.stack([matrix[0], matrix[0]]).tobytes()


def test_bags_of_one_role_are_one_bag_without_copies() -> None:
    found = bags_of_chosen(
        ["a", "b", "a", "", "c"], np.array([1, 1, 1, 1, 0], dtype=bool), np.array([0, 0, 0, 0, 1])
    )
    assert found == [("a", "b")] * 4 + [()]
