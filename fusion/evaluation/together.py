"""Tasks whose heads train together (`head.batched`), in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from fusion.evaluation.parts import PartStore
from fusion.evaluation.tasks import Plan, Task
from fusion.models import find_model, single_thread
from fusion.models.gathering import gather

MOST_TASKS = 256
"""That are begun together: each holds a lock, and so an open file."""

Result = TypeVar("Result")


def trains_together(task: Task, plan: Plan) -> bool:
    """Whether the task's heads train in one program with those of other tasks."""
    return plan.config.head.batched and find_model(task.arm.model, plan.kind).gathers


def run_together(
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    parts: PartStore,
    notices: list[str],
) -> Iterator[Result]:
    """Calls `function` for tasks and yields results as they come, arm by arm.

    All locks are taken before the first task begins, in sorted order: two runs that share a
    project wait for each other in one direction only.

    Args:
        function: Fits a task while nobody else does.
        calls: Its arguments, the task first.
        parts: Where the locks are.
        notices: Told where memory ran out.

    Raises:
        ConfigError: There is no such device.
    """
    if not calls:
        return
    from fusion.models.training_together import (  # loads torch
        HeadFit,
        TrainingResult,
        company_limit,
        shape_of,
        train_all,
    )

    def answer(fits: Sequence[HeadFit]) -> list[TrainingResult]:
        found = train_all(fits)
        notices.extend(one.notice for one in found if one.notice)
        return found

    # Heads of one shape meet also where memory holds few.
    arms = list(dict.fromkeys(task.arm.name for task, *_ in calls))
    ordered = sorted(calls, key=lambda call: arms.index(call[0].arm.name))
    limit = company_limit(calls[0][2].config.head)
    for start in range(0, len(ordered), MOST_TASKS):
        some = ordered[start : start + MOST_TASKS]
        with contextlib.ExitStack() as held, single_thread():
            for lock in sorted({task.lock for task, *_ in some}):
                held.enter_context(parts.locked(lock))
            yield from gather(function, some, answer, shape_of, lambda fit: fit.size, limit)
