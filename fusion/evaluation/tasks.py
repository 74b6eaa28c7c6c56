"""What there is to fit: one task for each arm and outer fold, named by all that it depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from featurestore.cohort import FoldKey, Folds
from featurestore.errors import DataError, LeakageError, name_some
from featurestore.software import digest_of
from featurestore.units import counted
from fusion.arms import Arm
from fusion.config import AblationConfig
from fusion.evaluation.permutation import draw_partners
from fusion.evaluation.sensitivity import settings_of
from fusion.features import FeatureTable
from fusion.models import find_model, relevant_settings
from fusion.models.study_location import StudyLocation, sqlite_storage
from fusion.provenance import fitting_software


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all tasks of an evaluation share.

    Attributes:
        config: Settings of the models, and the number of worker processes.
        seed: Seed of everything random.
        run_name: Goes into the predictions.
        work: Folder of the run's own work.
        data_digest: Names the data and the folds; parts made for others are not taken.
        data_root: Folder that relative paths of settings start from.
        kind: Kind of the outcome.
        horizons: Of times to an event: days by which risks are predicted.
        embedded: Of each repeat and fold what names the embeddings, by the name of their encoder;
            a part is taken where those that its arm looks at are the same.
        shared: Folder of parts and tuning studies that other runs may use too; by default `work`.
        drawn: Name of the arm that pictures are drawn of (`overlay_drawing`), whose fitted models
            are kept for that.
    """

    config: AblationConfig
    seed: int
    run_name: str
    work: Path
    data_digest: str
    data_root: Path = Path()
    kind: str = "binary"
    horizons: tuple[float, ...] = ()
    embedded: Mapping[FoldKey, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    shared: Path | None = None
    drawn: str | None = None

    @property
    def parts(self) -> Path:
        """Folder of the finished parts."""
        return (self.shared or self.work) / "parts"

    @property
    def tuning(self) -> Path:
        """Folder of the tuning studies."""
        return (self.shared or self.work) / "tuning"


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

    @property
    def lock(self) -> str:
        """What one process at a time works on: the part, or the study, which more than one wants.

        Parts that differ in the number of trials only share a study.
        """
        return self.digest if self.study is None else self.study.name.rpartition("/")[2]


def plan_tasks(folds: Folds, arms: Sequence[Arm], plan: Plan) -> list[Task]:
    """Lists all tasks, fold by fold."""
    software = fitting_software()
    tasks = []
    for key in folds.keys:
        repeat, fold = key
        sides = {"train": folds.training(key), "test": folds.test(key)}
        task_seed = int(np.random.SeedSequence([plan.seed, repeat, fold]).generate_state(1)[0])
        for arm in arms:
            config = settings_of(plan.config, arm.design)
            settings = relevant_settings(arm, config, plan.data_root, plan.kind)
            looked_at = {name for modality in arm.modalities for name in modality.embeddings}
            embedded = plan.embedded.get(key, {})
            facts = [
                dataclasses.asdict(arm),
                repeat,
                fold,
                task_seed,
                plan.data_digest,
                {name: embedded[name] for name in sorted(looked_at & embedded.keys())},
            ]
            facts += [sides, software, *plan.horizons]
            study = None
            model = find_model(arm.model, plan.kind)
            if model.tuned:
                # More trials continue a study, so their number is no part of its name.
                tuning = {k: v for k, v in settings["tuning"].items() if k != "trials"}
                study_digest = digest_of(*facts, settings | {"tuning": tuning})
                name = f"{arm.name}/repeat{repeat}/fold{fold}/{study_digest[:16]}"
                storage = plan.config.tuning.storage
                if storage:  # may be that of other projects, whose locks are not ours
                    name = f"{plan.run_name}/{name}"
                url = storage or sqlite_storage(plan.tuning, study_digest)
                study = StudyLocation(url, name)
            partners = draw_partners(folds, key, plan.seed) if model.permuted else None
            digest = digest_of(*facts, settings, partners)
            sides_of = sides["train"], sides["test"]
            tasks.append(Task(arm, repeat, fold, *sides_of, task_seed, digest, study, partners))
    return tasks


def is_drawn(task: Task, plan: Plan) -> bool:
    """Whether pictures may be drawn from the fit: of the first repeat of one arm they are."""
    return task.arm.name == plan.drawn and task.repeat == 0


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
        raise LeakageError(
            f"{counted(len(both), 'id is', 'ids are')} in training and test: {name_some(both)}"
        )
    absent = sorted({*sides[0], *sides[1]} - set(table.patient_ids))
    if absent:
        raise DataError(
            f"{counted(len(absent), 'id has', 'ids have')} no features in the folds: "
            f"{name_some(absent)}"
        )
    training = table.of_patients(sides[0]).learned_rows()
    test = table.of_patients(sides[1]).scored_rows()
    shared = sorted(set(training.groups) & set(test.groups))
    if shared:
        raise LeakageError(
            f"{counted(len(shared), 'group that shares', 'groups that share')} a patient or images "
            f"{'lies' if len(shared) == 1 else 'lie'} in training and test: "
            f"{name_some(shared)}"
        )
    return training, test
