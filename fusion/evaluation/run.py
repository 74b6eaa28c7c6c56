"""Runs every arm on every outer fold: features in, out-of-fold predictions out.

A task is one arm on one outer fold. It gets the fold's features, cuts them into training and test
rows, and gives `fit` the training rows and nothing else. Tasks run in worker processes, each on
one thread, so results do not depend on their number, or in this one (`together`); every finished
task is kept by what it depends on, so a killed run goes on where it stopped and ends with the same
bytes, and another run takes what it shares.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

import pandas as pd

from featurestore.cohort import Cohort, Folds
from featurestore.errors import DataError, LeakageError, name_some
from featurestore.progress import SILENT, Progress
from fusion.arms import Arm
from fusion.evaluation.fitting import fit_task
from fusion.evaluation.parts import Part, PartStore
from fusion.evaluation.predictions import predictions_table
from fusion.evaluation.records import Failure, write_choices, write_history, write_seconds
from fusion.evaluation.tasks import Plan, Task, plan_tasks
from fusion.evaluation.together import run_together, trains_together
from fusion.evaluation.workers import run_all
from fusion.features import FeatureTable
from fusion.ledger import recording
from fusion.models import ModelKind, registered, single_thread, take_over


def evaluate(
    cohort: Cohort,
    folds: Folds,
    features_for: Callable[[int, int], FeatureTable],
    arms: Iterable[Arm],
    plan: Plan,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Fits every arm on every outer fold and predicts the fold's test patients.

    Under `plan.work` it leaves `choices.json` (what each fit chose inside, and failures) and
    `history.parquet` (training curves), and where `plan` says parts and tuning studies.

    An arm that cannot be fitted on some fold (`DataError`) would be judged on other patients than
    the rest, so it has no rows in the result; `choices.json` and the progress summary say why.

    Args:
        cohort: The cohort that the folds are of.
        folds: Frozen outer folds.
        features_for: Per repeat and fold the features of all patients, as that fold's encoders
            embed them. Called once for every fold that has work left; folds that get the same
            object, as those of frozen encoders should, are fitted together, and others one after
            the other, so that memory holds two tables at most.
        arms: Arms, with or without floors (`with_floors`).
        plan: What all tasks share.
        progress: Listener.

    Returns:
        The predictions table (`fusion.evaluation.predictions`), in its canonical order.

    Raises:
        LeakageError: A patient, or a group of patients that share images, is on both sides of a
            fold.
        ConfigError: An arm names an unknown model, or the storage of studies cannot be used.
        DataError: Folds and cohort do not fit, no arm could be fitted, or the disk is full.
    """
    _check_folds(folds, cohort)
    tasks = plan_tasks(folds, list(arms), plan)
    parts = PartStore(plan.parts)
    found = {task.digest: parts.read(task.digest) for task in tasks}
    done = {digest: part for digest, part in found.items() if part is not None}
    pending = [task for task in tasks if task.digest not in done]
    progress.start("ablate", len(tasks))
    progress.advance(len(tasks) - len(pending))
    failures: dict[str, Failure] = {}
    notices: list[str] = []
    for table, sharing in _by_table(pending, features_for):
        calls = [(task, table, plan, parts, registered()) for task in sharing]
        with contextlib.closing(_results(calls, plan, parts, notices)) as results:
            for task, failure in results:
                if failure is not None:
                    failures[task.digest] = failure
                progress.advance(1, detail=task.arm.name)
    done |= {t.digest: _require_part(parts, t) for t in pending if t.digest not in failures}
    failed = [failures[t.digest] for t in tasks if t.digest in failures]
    progress.finish("; ".join([_summary(tasks, pending, failed), *dict.fromkeys(notices)]))
    write_choices(plan.work, tasks, done, failed)
    write_history(plan.work, tasks, done)
    write_seconds(plan.work, tasks, done)
    incomplete = {f.arm for f in failed}
    kept = [done[t.digest].predictions for t in tasks if t.arm.name not in incomplete]
    if not kept:
        raise DataError(f"no arm could be fitted on all folds; {failed[0].arm}: {failed[0].reason}")
    named = [part.assign(run=plan.run_name) for part in kept]
    return predictions_table(named, cohort.outcome.kind)


_Call = tuple[Task, FeatureTable, Plan, PartStore, Mapping[str, ModelKind]]


def _results(
    calls: list[_Call], plan: Plan, parts: PartStore, notices: list[str]
) -> Generator[tuple[Task, Failure | None]]:
    """Runs all tasks: in processes, but for those whose heads train together."""
    together = [c for c in calls if trains_together(c[0], plan)]
    apart = [c for c in calls if not trains_together(c[0], plan)]
    yield from run_all(_run, apart, plan.config.jobs, plan.config.scheduler)
    yield from run_together(_fit, together, parts, notices)


def _run(
    task: Task,
    table: FeatureTable,
    plan: Plan,
    parts: PartStore,
    own: Mapping[str, ModelKind],
) -> tuple[Task, Failure | None]:
    """Fits one task while nobody else does."""
    with parts.locked(task.lock):
        return _fit(task, table, plan, parts, own)


def _fit(
    task: Task,
    table: FeatureTable,
    plan: Plan,
    parts: PartStore,
    own: Mapping[str, ModelKind],
) -> tuple[Task, Failure | None]:
    """Fits one task and keeps its part; a `DataError` is an answer, other errors end the run."""
    take_over(own)
    if parts.read(task.digest) is not None:
        return task, None
    try:
        with single_thread(), recording(task.training_patients) as ledger:
            part = fit_task(task, table, plan, ledger)
    except DataError as error:
        return task, Failure(task.arm.name, task.repeat, task.fold, str(error))
    parts.write(task.digest, part)
    return task, None


def _by_table(
    tasks: Iterable[Task], features_for: Callable[[int, int], FeatureTable]
) -> Iterator[tuple[FeatureTable, list[Task]]]:
    """Tasks whose folds have one table, with it; in order."""
    table: FeatureTable | None = None
    sharing: list[Task] = []
    for key, own in itertools.groupby(tasks, key=lambda task: (task.repeat, task.fold)):
        found = features_for(*key)
        if table is not None and found is not table:
            yield table, sharing
            sharing = []
        table = found
        sharing += own
    if table is not None:
        yield table, sharing


def _check_folds(folds: Folds, cohort: Cohort) -> None:
    known = set(cohort.patients["patient_id"])
    unknown = sorted(folds.patients - known)
    if unknown:
        raise DataError(f"the folds name patients that the cohort lacks: {name_some(unknown)}")
    twice = folds.table.duplicated(["repeat", "fold", "patient_id"])
    if twice.any():
        ids = sorted(set(folds.table.loc[twice, "patient_id"]))
        raise LeakageError(f"patients have more than one role in a fold: {name_some(ids)}")


def _require_part(parts: PartStore, task: Task) -> Part:
    part = parts.read(task.digest)
    if part is None:
        raise DataError(
            f"the finished part of arm {task.arm.name!r}, repeat {task.repeat}, fold {task.fold} "
            f"cannot be read back; run again"
        )
    return part


def _summary(tasks: list[Task], pending: list[Task], failed: list[Failure]) -> str:
    text = f"ablate: {len(pending) - len(failed)} fits, {len(tasks) - len(pending)} reused"
    for arm in dict.fromkeys(f.arm for f in failed):
        first = next(f for f in failed if f.arm == arm)
        count = sum(f.arm == arm for f in failed)
        text += (
            f"; arm {arm} left out, it failed on {count} folds "
            f"(repeat {first.repeat}, fold {first.fold}: {first.reason})"
        )
    return text
