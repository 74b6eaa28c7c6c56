"""Joint networks fitted by several processes together, left where the ablation finds them.

One process of an ablation fits one arm on one fold. A joint network is worth more: here all
processes that `torchrun` started fit one after the other together (`melafuse joint`), and
`melafuse ablate` afterwards takes the finished parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from extractor.distributed import Workers
from featurestore.progress import SILENT, Progress
from fusion.config import AblationConfig
from fusion.evaluation import Task, fit_task
from fusion.features import FeatureTable
from fusion.ledger import recording
from fusion.parts import PartStore
from fusion.training import single_thread


def fit_together(
    tasks: list[Task],
    features_for: Callable[[int, int], FeatureTable],
    config: AblationConfig,
    run_name: str,
    work: Path,
    workers: Workers,
    progress: Progress = SILENT,
) -> int:
    """Fits every task that has no part yet, all processes together.

    Args:
        tasks: The same in all processes; those of `evaluation.plan_tasks`.
        features_for: Features by repeat and fold.
        config: Settings of the models.
        run_name: Goes into the predictions.
        work: Folder of resumable work; the first process writes.
        workers: The processes.
        progress: Listener; the first process's.

    Returns:
        Number of tasks that were fitted now.

    Raises:
        DataError: An arm cannot be fitted on a fold.
    """
    parts = PartStore(work / "parts")
    fitted = 0
    progress.start("joint", len(tasks))
    for task in tasks:
        with contextlib.ExitStack() as stack:
            if workers.is_first:
                stack.enter_context(parts.locked(task.digest))
            done = workers.is_first and parts.read(task.digest) is not None
            if not workers.from_first(int(done)):
                with single_thread(), recording(task.training_patients) as ledger:
                    table = features_for(task.repeat, task.fold)
                    part = fit_task(task, table, config, run_name, ledger)
                if workers.is_first:
                    parts.write(task.digest, part)
                fitted += 1
            workers.barrier()
        progress.advance(1, detail=task.arm.name)
    progress.finish(f"joint: {fitted} fits, {len(tasks) - fitted} reused")
    return fitted
