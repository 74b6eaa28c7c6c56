from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from extractor.memory import is_out_of_memory, largest_batch


class Card:
    """Memory that a pass takes in proportion to its images; beyond its size it runs out."""

    def __init__(self, each: int, size: int) -> None:
        self.each, self.size = each, size
        self.tried: list[int] = []

    def peak_of(self, n: int) -> int:
        self.tried.append(n)
        if n * self.each > self.size:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return n * self.each


def test_the_batch_doubles_while_it_keeps_the_limit() -> None:
    card = Card(each=10, size=10_000)
    assert largest_batch(card.peak_of, limit=1_500) == 128
    assert card.tried == [16, 32, 64, 128]  # 256 would pass the limit and is not tried


def test_the_batch_ends_where_more_is_no_faster() -> None:
    assert largest_batch(Card(1, 10**9).peak_of, limit=10**9, most=64) == 64
    assert largest_batch(Card(1, 10**9).peak_of, limit=10**9, most=9) == 9


def test_a_small_card_halves_instead() -> None:
    assert largest_batch(Card(10, 10_000).peak_of, limit=45) == 4
    assert largest_batch(Card(10, 45).peak_of, limit=10_000) == 4
    assert largest_batch(Card(10, 5).peak_of, limit=5) == 1


@given(each=st.integers(1, 1000), limit=st.integers(1, 10**6), size=st.integers(1, 10**6))
def test_no_batch_passes_the_limit_and_none_is_half_of_what_would_fit(
    each: int, limit: int, size: int
) -> None:
    card = Card(each, size)
    found = largest_batch(card.peak_of, limit)
    fits = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256) if n * each <= min(limit, size)]
    assert found == max(fits, default=1)


def test_other_errors_are_not_taken_for_it() -> None:
    def broken(n: int) -> int:
        raise RuntimeError("device-side assert triggered")

    with pytest.raises(RuntimeError, match="assert"):
        largest_batch(broken, 100)
    assert is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"))
