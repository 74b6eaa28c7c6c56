"""Calls that meet: what each of them asks for is answered for all of them at once.

Each call runs in a coroutine (a greenlet) of one thread until it asks; when all wait, or enough
do, their questions are answered together and they go on. A call needs not know of it: asked outside
of `gather`, a question is answered at once.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import greenlet

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Call(greenlet.greenlet):
    """A call, and the seconds in which others ran while it waited."""

    away = 0.0

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__(lambda: function(*arguments))
        self.gr_context = contextvars.copy_context()  # the ledger of one is not that of another


def meet(
    asked: Sequence[Asked], answer_all: Callable[[Sequence[Asked]], list[Answer]]
) -> list[Answer]:
    """Waits for the answers to what a call asks; outside of `gather` they are made here.

    No region that belongs to the thread (a seed, a mode of torch) may be open around it.

    Args:
        asked: The questions.
        answer_all: Answers them where nobody gathers.
    """
    here = greenlet.getcurrent()
    if not isinstance(here, _Call):
        return answer_all(asked)
    left = time.perf_counter()
    answers: list[Answer]
    answers, own_seconds = here.parent.switch(asked)
    here.away += time.perf_counter() - left - own_seconds
    return answers


def own_seconds() -> float:
    """A clock of the call: while it waits, its share of the answering counts, and nothing else."""
    return time.perf_counter() - getattr(greenlet.getcurrent(), "away", 0.0)


def gather(
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    answer_all: Callable[[Sequence[Any]], list[Any]],
    kind_of: Callable[[Any], Hashable],
    size_of: Callable[[Any], int],
    limit: int,
) -> Iterator[Any]:
    """Calls `function` with each tuple of arguments and yields results as they come.

    Calls begin in order. An exception of any call, or Ctrl-C, ends all of them and is raised.

    Args:
        function: May ask by `meet`, any number of times.
        calls: Arguments.
        answer_all: Answers questions of one kind, of all calls that wait.
        kind_of: Kind of a question; a call asks those of one kind at a time.
        size_of: Bytes of a question.
        limit: No further call begins where those that wait ask for more bytes.
    """
    todo = iter(calls)
    begun: list[_Call] = []
    waiting: list[tuple[_Call, Sequence[Any]]] = []
    try:
        while True:
            while sum(size_of(one) for _, asked in waiting for one in asked) <= limit:
                arguments = next(todo, None)
                if arguments is None:
                    break
                call = _Call(function, arguments)
                begun.append(call)
                found = call.switch()
                if call.dead:
                    yield found
                else:
                    waiting.append((call, found))
            if not waiting:
                return
            kinds: dict[Hashable, list[tuple[_Call, Sequence[Any]]]] = {}
            for call, asked in waiting:
                kinds.setdefault(kind_of(asked[0]), []).append((call, asked))
            waiting = []
            for alike in kinds.values():
                questions = [one for _, asked in alike for one in asked]
                started = time.perf_counter()
                answers = iter(answer_all(questions))
                each = (time.perf_counter() - started) / len(questions)
                for call, asked in alike:
                    found = call.switch(([next(answers) for _ in asked], each * len(asked)))
                    if call.dead:
                        yield found
                    else:
                        waiting.append((call, found))
    finally:
        for call in begun:
            if not call.dead:
                call.throw(greenlet.GreenletExit)
