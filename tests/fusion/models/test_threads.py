"""One thread inside, as many as before outside; libraries that come late are limited too."""

from __future__ import annotations

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from fusion.models.threads import limit_new_libraries, single_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info()} | {torch.get_num_threads()}


def test_inside_all_libraries_have_one_thread() -> None:
    before = threads()
    with single_thread():
        assert threads() == {1}
        with single_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == before


def test_a_library_that_was_loaded_inside_is_limited_until_the_end() -> None:
    with threadpool_limits(2):
        before = threads()
        with single_thread():
            threadpool_limits(2)  # what a library brings along that was just loaded
            assert threads() != {1}
            limit_new_libraries()
            assert threads() == {1}
        assert threads() == before


def test_outside_nothing_is_limited() -> None:
    before = threads()
    limit_new_libraries()
    assert threads() == before


def test_errors_give_threads_back() -> None:
    before = threads()
    with pytest.raises(ZeroDivisionError), single_thread():
        raise ZeroDivisionError
    assert threads() == before
    with single_thread():
        assert threads() == {1}
