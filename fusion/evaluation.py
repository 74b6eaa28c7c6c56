"""Runs every arm on every outer fold: features in, out-of-fold predictions out.

A task is one arm on one outer fold. It gets the fold's features, cuts them into training and test
rows, and gives `fit` the training rows and nothing else. Tasks run in worker processes, each on
one thread, so results do not depend on their number; every finished task is kept under `work`,
so a killed run goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.atomic import replacing, write_text
from featurestore.cohort import Cohort
from featurestore.errors import DataError, LeakageError, name_some
from featurestore.progress import SILENT, Progress
from fusion.arms import ABLATION, Arm
from fusion.calibration import calibrate, calibration_record
from fusion.comparators import chosen_calibration, find_model, make_model, relevant_settings
from fusion.comparators_floors import with_floors
from fusion.config import AblationConfig
from fusion.designs import training_part
from fusion.explanation import explain
from fusion.features import FeatureTable
from fusion.ledger import Ledger, recording
from fusion.model import by_patient, logit
from fusion.parts import Part, PartStore
from fusion.permutation import draw_partners, with_partners_outcomes
from fusion.predictions import predictions_table
from fusion.provenance import versions
from fusion.thresholds import inner_threshold, rule_text
from fusion.training import single_thread
from fusion.tuning import StudyLocation, sqlite_storage
from fusion.workers import run_all

__all__ = ["Task", "evaluate", "fit_task", "plan_tasks", "split_fold", "with_floors"]

CONSTANT = 1e-9
"""Range of mean logits below which all are the same but for rounding."""

HISTORY_KEYS = ("arm", "repeat", "fold")
_FORMAT = 5  # of parts; changes when the meaning of a part changes


@dataclasses.dataclass(frozen=True)
class Task:
    """One arm on one outer fold.

    Attributes:
        arm: The arm.
        repeat: Repeat of the outer folds.
        fold: Outer fold.
        training_patients: Sorted.
        test_patients: Sorted.
        seed: The same for all arms of a fold, so that they share inner folds.
        digest: Names everything that the part depends on.
        study: Where a tuned model keeps its study.
        partners: Whose outcome each patient gets, for the permuted floor; else None.
    """

    arm: Arm
    repeat: int
    fold: int
    training_patients: tuple[str, ...]
    test_patients: tuple[str, ...]
    seed: int
    digest: str
    study: StudyLocation | None
    partners: Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a task has no predictions."""

    arm: str
    repeat: int
    fold: int
    reason: str


def evaluate(
    cohort: Cohort,
    folds: pd.DataFrame,
    features_for: Callable[[int, int], FeatureTable],
    arms: Iterable[Arm],
    config: AblationConfig,
    seed: int,
    run_name: str,
    work: Path,
    data_digest: str,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Fits every arm on every outer fold and predicts the fold's test patients.

    Under `work` it leaves `choices.json` (what each fit chose inside, and failures),
    `history.parquet` (training curves), `parts/` and `tuning/`.

    An arm that cannot be fitted on some fold (`DataError`) would be judged on other patients than
    the rest, so it has no rows in the result; `choices.json` and the progress summary say why.

    Args:
        cohort: The cohort that the folds are of.
        folds: Frozen outer folds.
        features_for: Per repeat and fold the features of all patients, as that fold's encoders
            embed them. Called once for every fold that has work left, before anything is fitted;
            frozen encoders should return the same object each time, so that memory holds one.
        arms: Arms, with or without floors (`with_floors`).
        config: Settings of the models, and the number of worker processes.
        seed: Seed of everything random.
        run_name: Goes into the predictions.
        work: Folder of resumable work.
        data_digest: Names the data, the folds and the encoders; parts made for others are not
            taken.
        progress: Listener.

    Returns:
        The predictions table (`fusion.predictions`), in its canonical order.

    Raises:
        LeakageError: A patient, or a group of patients that share images, is on both sides of a
            fold.
        ConfigError: An arm names an unknown model, or the storage of studies cannot be used.
        DataError: Folds and cohort do not fit, no arm could be fitted, or the disk is full.
    """
    _check_folds(folds, cohort)
    tasks = plan_tasks(folds, list(arms), config, seed, run_name, work, data_digest)
    parts = PartStore(work / "parts")
    pending = [task for task in tasks if parts.read(task.digest) is None]
    tables = {key: features_for(*key) for key in dict.fromkeys((t.repeat, t.fold) for t in pending)}
    progress.start("ablate", len(tasks))
    progress.advance(len(tasks) - len(pending))
    failures: dict[str, Failure] = {}
    calls = [(task, tables[task.repeat, task.fold], config, run_name, parts) for task in pending]
    for task, failure in run_all(_run, calls, config.jobs, config.scheduler):
        if failure is not None:
            failures[task.digest] = failure
        progress.advance(1, detail=task.arm.name)
    done = {t.digest: _require_part(parts, t) for t in tasks if t.digest not in failures}
    failed = [failures[t.digest] for t in tasks if t.digest in failures]
    progress.finish(_summary(tasks, pending, failed))
    _write_choices(work, tasks, done, failed)
    _write_history(work, tasks, done)
    incomplete = {f.arm for f in failed}
    kept = [done[t.digest].predictions for t in tasks if t.arm.name not in incomplete]
    if not kept:
        raise DataError(f"no arm could be fitted on all folds; {failed[0].arm}: {failed[0].reason}")
    return predictions_table(kept)


def split_fold(
    table: FeatureTable, training_patients: Iterable[str], test_patients: Iterable[str]
) -> tuple[FeatureTable, FeatureTable]:
    """Cuts a fold's features into training and test rows.

    Raises:
        LeakageError: A patient or a group is on both sides.
        DataError: A patient has no features.
    """
    sides = [sorted(set(training_patients)), sorted(set(test_patients))]
    both = sorted(set(sides[0]) & set(sides[1]))
    if both:
        raise LeakageError(f"{len(both)} patients are in training and test: {name_some(both)}")
    absent = sorted({*sides[0], *sides[1]} - set(table.patient_ids))
    if absent:
        raise DataError(
            f"{len(absent)} patients of the folds have no features: {name_some(absent)}"
        )
    training = table.of_patients(sides[0]).learned_rows()
    test = table.of_patients(sides[1]).scored_rows()
    shared = sorted(set(training.groups) & set(test.groups))
    if shared:
        raise LeakageError(
            f"{len(shared)} groups of patients that share images lie in training and test: "
            f"{name_some(shared)}"
        )
    return training, test


def plan_tasks(
    folds: pd.DataFrame,
    arms: Sequence[Arm],
    config: AblationConfig,
    seed: int,
    run_name: str,
    work: Path,
    data_digest: str,
) -> list[Task]:
    """Lists all tasks, fold by fold; arguments as those of `evaluate`."""
    software = versions()
    tasks = []
    keys = folds[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    for repeat, fold in keys.itertuples(index=False, name=None):
        rows = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
        sides = {
            role: tuple(sorted(rows.loc[rows["role"] == role, "patient_id"]))
            for role in ("train", "test")
        }
        task_seed = int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])
        for arm in arms:
            settings = relevant_settings(arm, config)
            facts = [
                _FORMAT,
                run_name,
                dataclasses.asdict(arm),
                repeat,
                fold,
                task_seed,
                data_digest,
            ]
            facts += [sides, software]
            study = None
            if find_model(arm.model).tuned:
                # More trials continue a study, so their number is no part of its name.
                tuning = {k: v for k, v in settings["tuning"].items() if k != "trials"}
                study_digest = _digest([*facts, settings | {"tuning": tuning}])
                label = f"{run_name}/{arm.name}/repeat{repeat}/fold{fold}"
                name = f"{label}/{study_digest[:16]}"
                storage = config.tuning.storage
                url = storage or sqlite_storage(work / "tuning", study_digest)
                study = StudyLocation(url, name)
            permuted = find_model(arm.model).permuted
            partners = draw_partners(folds, repeat, fold, seed) if permuted else None
            digest = _digest([*facts, settings, partners])
            sides_of = sides["train"], sides["test"]
            tasks.append(Task(arm, repeat, fold, *sides_of, task_seed, digest, study, partners))
    return tasks


def _run(
    task: Task, table: FeatureTable, config: AblationConfig, run_name: str, parts: PartStore
) -> tuple[Task, Failure | None]:
    """Fits one task and keeps its part; a `DataError` is an answer, other errors end the run."""
    with parts.locked(task.digest):
        if parts.read(task.digest) is not None:
            return task, None
        try:
            with single_thread(), recording(task.training_patients) as ledger:
                part = fit_task(task, table, config, run_name, ledger)
        except DataError as error:
            return task, Failure(task.arm.name, task.repeat, task.fold, str(error))
        parts.write(task.digest, part)
    return task, None


def fit_task(
    task: Task, table: FeatureTable, config: AblationConfig, run_name: str, ledger: Ledger
) -> Part:
    """Fits one arm on the training rows of its fold and predicts the test patients.

    Args:
        task: Arm and fold.
        table: Features of all patients as the fold's encoders embed them.
        config: Settings of the models.
        run_name: Goes into the predictions.
        ledger: Where the fits of this task have been recorded.

    Raises:
        LeakageError: A patient or a group is on both sides of the fold.
        DataError: The arm cannot be fitted on this fold.
    """
    if task.partners is not None:
        table = with_partners_outcomes(table, task.partners)
    training, test = split_fold(table, task.training_patients, task.test_patients)
    training = training_part(training, task.arm.design, task.seed)
    model = make_model(task.arm, config, task.study).fit(training, task.seed)
    calibration = calibrate(model.inner_, chosen_calibration(task.arm.model, config))
    threshold = inner_threshold(calibration.inner, config.threshold)
    patients, y, raw = by_patient(test.patient_ids, test.y, model.predict_proba(test))
    probability = calibration.fitted(raw)
    score = logit(probability)
    if len(score) > 1 and np.ptp(score) < CONSTANT:
        # A fit that gives everyone the same probability ranks nobody. Its level differs between
        # folds against the prevalence of their test part, which over pooled folds would look like
        # a ranking.
        score = np.zeros(len(score))
    if task.partners is not None:
        # Written under the patient whose outcome it is, so that all arms are scored alike.
        patients = np.array([task.partners[patient] for patient in patients])
    predictions = pd.DataFrame(
        {
            "run": run_name,
            "arm": task.arm.name,
            "model": task.arm.model,
            "modalities": task.arm.modality_text,
            "design": task.arm.design,
            "repeat": task.repeat,
            "fold": task.fold,
            "patient_id": patients,
            "y": y,
            "score": score,
            "probability": probability,
            "threshold": threshold,
        }
    )
    plain = task.arm.design == ABLATION
    asked = config.explain and find_model(task.arm.model).explained and plain
    record = {
        **_names(task),
        "seed": task.seed,
        "training_patients": len(np.unique(training.patient_ids.astype(str))),
        "test_patients": len(task.test_patients),
        "threshold": threshold,
        "threshold_rule": f"{rule_text(config.threshold)} on inner predictions",
        "calibration": {"method": calibration.method} | calibration_record(calibration.fitted),
        "study": None if task.study is None else task.study.name,
        "choices": model.choices_,
        "explanation": explain(model, task.arm, test, task.seed) if asked else None,
        "training_digest": ledger.training_digest,
        "steps": [dataclasses.asdict(step) for step in ledger.steps()],
    }
    return Part(predictions, record, model.history_)


def _check_folds(folds: pd.DataFrame, cohort: Cohort) -> None:
    known = set(cohort.patients["patient_id"])
    unknown = sorted(set(folds["patient_id"]) - known)
    if unknown:
        raise DataError(f"the folds name patients that the cohort lacks: {name_some(unknown)}")
    twice = folds.duplicated(["repeat", "fold", "patient_id"])
    if twice.any():
        ids = sorted(set(folds.loc[twice, "patient_id"]))
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


def _write_choices(
    work: Path, tasks: list[Task], done: Mapping[str, Part], failed: list[Failure]
) -> None:
    record = {
        "fits": [done[t.digest].record for t in tasks if t.digest in done],
        "failures": [dataclasses.asdict(f) for f in failed],
    }
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    with _writing_under(work):
        write_text(work / "choices.json", text)


def _write_history(work: Path, tasks: list[Task], done: Mapping[str, Part]) -> None:
    rows = [
        {key: _names(task)[key] for key in HISTORY_KEYS} | epoch
        for task in tasks
        if task.digest in done
        for epoch in done[task.digest].history
    ]
    table = pd.DataFrame(rows, columns=None if rows else list(HISTORY_KEYS))
    with _writing_under(work), replacing(work / "history.parquet") as temporary:
        table.to_parquet(temporary, index=False)


@contextlib.contextmanager
def _writing_under(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write to {work}: {error.strerror or error}") from None


def _names(task: Task) -> dict[str, Any]:
    return {
        "arm": task.arm.name,
        "model": task.arm.model,
        "modalities": task.arm.modality_text,
        "design": task.arm.design,
        "repeat": task.repeat,
        "fold": task.fold,
    }


def _digest(record: Any) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
