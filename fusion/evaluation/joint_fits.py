"""Joint networks fitted by several processes together, left where the ablation finds them.

One process of an ablation fits one arm on one fold. A joint network is worth more: here all
processes that `torchrun` started fit one after the other together (`melafuse joint`), and
`melafuse ablate` afterwards takes the finished parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from extractor.workers import Workers
from featurestore.progress import SILENT, Progress
from fusion.evaluation.fitting import fit_task
from fusion.evaluation.parts import PartStore
from fusion.evaluation.tasks import Plan, Task
from fusion.features import FeatureTable
from fusion.ledger import recording
from fusion.models import single_thread


def fit_together(
    tasks: list[Task],
    features_for: Callable[[int, int], FeatureTable],
    plan: Plan,
    workers: Workers,
    progress: Progress = SILENT,
) -> int:
    """Fits every task that has no part yet, all processes together.

    Args:
        tasks: The same in all processes; those of `evaluation.plan_tasks`.
        features_for: Features by repeat and fold.
        plan: What all tasks share; the first process writes.
        workers: The processes.
        progress: Listener; the first process's.

    Returns:
        Number of tasks that were fitted now.

    Raises:
        DataError: An arm cannot be fitted on a fold.
    """
    parts = PartStore(plan.parts)
    fitted = 0
    progress.start("joint", len(tasks))
    for task in tasks:
        with contextlib.ExitStack() as stack:
            if workers.is_first:
                stack.enter_context(parts.locked(task.lock))
            done = workers.is_first and parts.read(task.digest) is not None
            if not workers.from_first(int(done)):
                with single_thread(), recording(task.training_patients) as ledger:
                    table = features_for(task.repeat, task.fold)
                    part = fit_task(task, table, plan, ledger)
                if workers.is_first:
                    parts.write(task.digest, part)
                fitted += 1
            workers.barrier()
        progress.advance(1, detail=task.arm.name)
    progress.finish(f"joint: {fitted} fits, {len(tasks) - fitted} reused")
    return fitted
