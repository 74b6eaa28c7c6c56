"""Calls that meet: each gets its own answers, and none disturbs another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from fusion.ledger import recording, witness
from fusion.models import gathering
from fusion.models.gathering import gather, meet, own_seconds


def double(asked: Sequence[int]) -> list[int]:
    return [2 * one for one in asked]


def gathered(
    function: Callable[..., object],
    calls: Sequence[tuple[int, ...]],
    answer: Callable[[Sequence[int]], list[int]] = double,
    limit: int = 1000,
) -> Iterator[object]:
    return gather(function, calls, answer, lambda one: one % 2, lambda one: one, limit)


def test_a_question_outside_is_answered_at_once() -> None:
    assert meet([1, 2], double) == [2, 4]


def test_all_that_wait_are_answered_together_by_kind_and_each_gets_its_own() -> None:
    rounds: list[list[int]] = []

    def answer(asked: Sequence[int]) -> list[int]:
        rounds.append(list(asked))
        return double(asked)

    def call(first: int, times: int) -> list[int]:
        return [one for k in range(times) for one in meet([first + 2 * k] * 2, double)]

    found = list(gathered(call, [(1, 1), (2, 2), (5, 1), (4, 0)], answer))
    assert found == [[], [2, 2], [10, 10], [4, 4, 8, 8]]
    assert rounds == [[1, 1, 5, 5], [2, 2], [4, 4]]


def test_no_call_begins_while_those_that_wait_ask_for_more_than_the_limit() -> None:
    begun: list[int] = []
    seen: list[tuple[int, ...]] = []

    def answer(asked: Sequence[int]) -> list[int]:
        seen.append(tuple(begun))
        return double(asked)

    def call(size: int) -> int:
        begun.append(size)
        return meet([size], double)[0]

    assert list(gathered(call, [(10,), (20,), (30,), (40,)], answer, 15)) == [20, 40, 60, 80]
    assert seen == [(10, 20), (10, 20, 30), (10, 20, 30, 40)]


def test_ledgers_do_not_mix() -> None:
    def call(own: int) -> list[str]:
        with recording(["A", "B"]) as ledger:
            witness(f"before {own}", "fitted on", ["A"])
            meet([own], double)
            witness(f"after {own}", "fitted on", ["B"])
        return [step.step for step in ledger.steps()]

    found = list(gathered(call, [(2,), (4,), (6,)]))
    assert found == [[f"before {k}", f"after {k}"] for k in (2, 4, 6)]


@pytest.mark.parametrize("where", ["call", "answer"])
def test_an_error_ends_all_calls_and_leaves_their_blocks(where: str) -> None:
    left: list[int] = []

    def call(own: int) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(left.append, own)
            meet([own], double)
            if where == "call" and own == 4:
                raise KeyboardInterrupt

    def answer(asked: Sequence[int]) -> list[int]:
        if where == "answer":
            raise KeyboardInterrupt
        return double(asked)

    with pytest.raises(KeyboardInterrupt):
        list(gathered(call, [(2,), (4,), (6,), (8,)], answer))
    assert sorted(left) == [2, 4, 6, 8]


def test_whoever_stops_listening_ends_all_calls() -> None:
    left: list[int] = []

    def call(own: int) -> int:
        with contextlib.ExitStack() as stack:
            stack.callback(left.append, own)
            return meet([own], double)[0]

    with contextlib.closing(gathered(call, [(2,), (4,)])) as results:
        assert next(results) == 4
    assert sorted(left) == [2, 4]


def test_seconds_of_a_call_are_its_own_and_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(gathering.time, "perf_counter", lambda: now)

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    def answer(asked: Sequence[int]) -> list[int]:
        work(9)
        return double(asked)

    def call(own: int, questions: int) -> float:
        started = own_seconds()
        work(own)
        meet([0] * questions, double)
        work(own)
        return own_seconds() - started

    assert list(gathered(call, [(1, 1), (10, 2)], answer)) == [2 + 3, 20 + 6]
