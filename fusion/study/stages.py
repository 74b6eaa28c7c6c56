"""The stages of a study up to its out-of-fold predictions, in order, each resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd

from extractor.config_finetune import FinetuneConfig
from extractor.extract import NO_EXTRACTION, ExtractionReport, extract
from extractor.torch_features import import_all
from extractor.workers import ALONE, Workers
from featurestore.cohort import (
    Cohort,
    FoldKey,
    Folds,
    build_cohort,
    drop_images,
    freeze_folds,
    load_folds,
    patient_groups,
    roles_text,
)
from featurestore.config import load_config
from featurestore.imports import Imported
from featurestore.progress import SILENT, Progress
from featurestore.sealed import write_sealed_table
from featurestore.software import digest_of
from featurestore.sources import ReadContext
from featurestore.store import EncoderIdentity, FeatureStore
from fusion.arms import Arm, Modality, role_names
from fusion.config import RunConfig
from fusion.evaluation import Plan, Task, evaluate, plan_tasks
from fusion.evaluation.planning import StudyPlan, plan_of_cohort
from fusion.features import NO_VIEWS, FeatureReader, FeatureTable, ViewPlan
from fusion.features.image_files import file_locator
from fusion.features.tuned import NO_FOLD_ENCODERS, FoldEncoders
from fusion.models import find_model
from fusion.paths import ProjectPaths, RunPaths, existing_root, store_folder
from fusion.provenance import command_line
from fusion.study.cohorts import SourceCohorts
from fusion.study.embedded import Embedded
from fusion.study.made import view_names
from fusion.study.validation import require_device, require_names, require_one_outcome
from fusion.study.written import require_own_folder, require_tuned, write_cohort

if TYPE_CHECKING:  # fine-tuning loads torch, which a study without it does not need
    from fusion.features.fold_encoders import Training


class Stages:
    """One configuration and its folder, up to the predictions.

    Attributes:
        config: The validated configuration.
        paths: Where everything of the run lies.
        project: Where what it shares with other runs lies.
        store: The feature store.
        workers: Processes that work together; one, unless `torchrun` started more.
        command: The command that reports state; by default the process's own.
        source_cohorts: What the sources give; of studies that share their folds it is the same.
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        data_root: Path,
        progress: Progress = SILENT,
        workers: Workers = ALONE,
        reads_only: bool = False,
    ) -> None:
        """Stores what to study; nothing is read yet.

        Args:
            config: The validated configuration.
            out: Folder of the run.
            data_root: Where relative data paths start.
            progress: Listener of the long stages.
            workers: Processes that extract and train together; the first one writes.
            reads_only: Nothing is embedded, trained or written into the run's folder.

        Raises:
            ConfigError: The data root is not a folder, or there are several outcomes.
        """
        require_one_outcome(config)
        self.config = config
        self.paths = RunPaths.of(out, config)
        self.project = ProjectPaths.of(self.paths, config.project)
        self.store = FeatureStore(store_folder(config, self.paths))
        self.command = command_line()
        self._data_root = existing_root(data_root)
        self._progress = progress if workers.is_first else SILENT
        self.workers = workers
        self._reads_only = reads_only
        self.source_cohorts = SourceCohorts(
            config, self._context, lambda: [one.rows for one in self.imported.values()]
        )

    @classmethod
    def open(
        cls,
        config: str | Path,
        out: str | Path | None = None,
        data_root: str | Path | None = None,
        overrides: Sequence[str] = (),
        progress: Progress = SILENT,
    ) -> Self:
        """Reads a configuration file.

        Args:
            config: YAML file.
            out: Folder of the run; `runs/<name>` by default.
            data_root: Where relative data paths start; the configuration's folder by default.
            overrides: `key.subkey=value` texts.
            progress: Listener of the long stages.

        Raises:
            ConfigError: The configuration is wrong; see `featurestore.config.load_config`.
        """
        path = Path(config)
        loaded = load_config(RunConfig, path, overrides)
        root = path.parent if data_root is None else Path(data_root)
        return cls(loaded, Path(out or Path("runs") / loaded.name), root, progress)

    @cached_property
    def source_cohort(self) -> Cohort:
        """The cohort as the sources give it; the folder of another study is refused."""
        require_own_folder(self.paths, self.config)
        own = self.source_cohorts.by_outcome[self.config.cohort.find_outcome().name]
        return dataclasses.replace(own, name=self.config.name)

    @cached_property
    def imported(self) -> dict[str, Imported]:
        """Embeddings from elsewhere by name, all of them in the store."""
        return import_all(self.config.embeddings, self.store, self._data_root, self._progress)

    @property
    def _context(self) -> ReadContext:
        return ReadContext(
            self._data_root,
            self.paths.scratch,
            self.config.seed,
            self._progress,
            seen=self.project.shared,
        )

    @cached_property
    def _embedded(self) -> Embedded:
        cohort = self.source_cohort
        _ = self.arms  # a wrong name shows before hours of extraction and fits
        require_names(self.config, cohort)
        if not self._reads_only:
            require_device(self.config.ablation.head)
        elsewhere = {name: one.identity for name, one in self.imported.items()}
        if cohort.pictures.empty:
            self._write_cohort(cohort)
            return Embedded(cohort, NO_EXTRACTION, elsewhere)
        extraction = extract(
            cohort.pictures[["image_id", "path", "sha256"]],
            self.store,
            self.config.extract,
            self.config.seed,
            self._data_root,
            self._progress,
            self.workers,
            self._reads_only,
        )
        reasons = {row.image_id: row.reason for row in extraction.quarantined}
        cohort = drop_images(cohort, reasons, "extract", self.config.cohort.require_images)
        self._write_cohort(cohort)
        return Embedded(cohort, extraction, {**extraction.encoders, **elsewhere})

    def extract(self) -> ExtractionReport:
        """Embeds every image that the store does not have yet."""
        return self._embedded.extraction

    @property
    def cohort(self) -> Cohort:
        """The cohort as it is studied: every image of it is in the store."""
        return self._embedded.cohort

    @cached_property
    def groups(self) -> dict[str, str]:
        """Group of each patient; patients tied by copies of an image share one."""
        return patient_groups(self.cohort.patients, self.cohort.images)

    @cached_property
    def folds(self) -> Folds:
        """The frozen folds: made once for this cohort, and read from then on."""
        key = self._folds_key
        if self.paths.folds.exists():
            frozen = load_folds(self.paths.folds, key)
            if frozen is not None:
                return frozen
            self._progress.start("folds", 1)
            self._progress.finish("folds: the cohort or the split changed, so they are made anew")
        folds = self.source_cohorts.folds(self.cohort)
        if self._writes:
            freeze_folds(folds, key, self.paths.folds)
        return folds

    @cached_property
    def _reader(self) -> FeatureReader:
        work, by_role = self.paths.work, role_names(self._modalities)
        locate = file_locator(self.config.seed, self._data_root, work / "scratch")
        return FeatureReader(
            self.cohort, self.groups, self.store, locate, by_role, work / "features"
        )

    def features(self, repeat: int, fold: int) -> FeatureTable:
        """Features of all patients as the encoders of one outer fold embed them.

        Raises:
            LeakageError: An encoder has seen a test patient of the fold.
        """
        scored = self.folds.test((repeat, fold))
        frozen = {backbone.name: backbone for backbone in self.config.extract.backbones}
        tuned = self.fold_encoders.backbones.get((repeat, fold), {})
        encoders = self.encoders(repeat, fold)
        views = self._views(repeat, fold)
        return self._reader.read(encoders, scored, f"{repeat}/{fold}", {**frozen, **tuned}, views)

    @property
    def data_root(self) -> Path:
        """Where relative data paths start."""
        return self._data_root

    @property
    def progress(self) -> Progress:
        """Listener of the long stages."""
        return self._progress

    def _views(self, repeat: int, fold: int) -> ViewPlan:
        identities = self.fold_encoders.views.get((repeat, fold), {})
        config = self.config.finetune
        if config is None or not identities:
            return NO_VIEWS
        return ViewPlan(identities, config.views, config.test_views)

    @cached_property
    def fold_encoders(self) -> FoldEncoders:
        """Fine-tuned encoders and where their embeddings are; none without `finetune`."""
        config = self.config.finetune
        if config is None or self.cohort.pictures.empty:
            return NO_FOLD_ENCODERS
        if self._reads_only:
            require_tuned(self.project)
        plans = self._trainings(config)
        encoders = self._fine_tune(plans, self.folds.keys, config)
        if self._writes:
            write_sealed_table(self.paths.work / "finetune.parquet", encoders.history)
        return encoders

    def _fine_tune(
        self, plans: list[Training], keys: Sequence[FoldKey], config: FinetuneConfig
    ) -> FoldEncoders:
        """Trains what is planned, unless a run of the project has done so."""
        from extractor.finetune import Workplace
        from fusion.features.fold_encoders import fine_tune

        return fine_tune(
            plans,
            self.cohort.pictures[["image_id", "path", "sha256"]],
            keys,
            config,
            self.config.extract,
            self.store,
            Workplace(self._data_root, self.project.finetune, self._progress, self.workers),
        )

    def _trainings(self, config: FinetuneConfig) -> list[Training]:
        from fusion.features.fold_encoders import external, per_fold

        seed = self.config.seed
        if config.external is None:
            return per_fold(self.cohort, self.groups, self.folds, config, seed)
        other = build_cohort(config.external, "external", self._context, self._progress)
        return external(self.cohort, other, config, seed)

    def finetune(self) -> FoldEncoders:
        """Fine-tunes the encoders of every fold and embeds all images with them."""
        return self.fold_encoders

    def encoders(self, repeat: int, fold: int) -> dict[str, EncoderIdentity]:
        """Identity by name of everything that embeds for one outer fold, frozen ones first."""
        frozen = self._embedded.encoders
        return {**frozen, **self.fold_encoders.identities.get((repeat, fold), {})}

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of the ablation with its floors, then those of other designs."""
        return self._study_plan.arms

    @cached_property
    def _study_plan(self) -> StudyPlan:
        return plan_of_cohort(self.config, self.source_cohort)

    @property
    def _modalities(self) -> tuple[Modality, ...]:
        return self._study_plan.ablation.modalities

    @property
    def _planned_arms(self) -> tuple[Arm, ...]:
        return self._study_plan.ablation.arms

    @property
    def baseline(self) -> str:
        """Name of the arm that differences are taken against."""
        return self._study_plan.ablation.reference

    @property
    def _plan(self) -> Plan:
        config = self.config
        return Plan(
            config.ablation,
            config.seed,
            config.name,
            self.paths.work,
            digest_of(self._folds_key, *self._view_names),
            self._data_root,
            self.cohort.outcome.kind,
            self.cohort.outcome.horizons,
            {key: self._embedded_by(*key) for key in self.folds.keys},
            self.project.shared,
        )

    def _embedded_by(self, repeat: int, fold: int) -> dict[str, str]:
        """What names the embeddings of one outer fold, by the name of their encoder."""
        return {name: one.digest for name, one in self.encoders(repeat, fold).items()}

    def ablate(self) -> pd.DataFrame:
        """Fits every arm on every fold and writes the out-of-fold predictions table."""
        predictions = evaluate(
            self.cohort,
            self.folds,
            self.features,
            self.arms,
            self._plan,
            self._progress,
        )
        write_sealed_table(self.paths.predictions, self.cohort.for_people(predictions))
        return predictions

    def tasks(self, arms: Sequence[Arm]) -> list[Task]:
        """What `ablate` fits for some of its arms, one task a fold."""
        return plan_tasks(self.folds, arms, self._plan)

    def fit_joint(self) -> int:
        """Fits the joint arms by all processes together; returns how many were fitted now.

        `ablate` finds them finished.
        """
        from fusion.evaluation.joint_fits import fit_together

        kind = self.cohort.outcome.kind
        tasks = self.tasks([arm for arm in self.arms if find_model(arm.model, kind).pictures])
        return fit_together(
            tasks,
            self.features,
            self._plan,
            self.workers,
            self._progress,
        )

    @property
    def _folds_key(self) -> str:
        folds = self.config.folds.model_dump_json()
        shared = [c.find_outcome().name for c in self.config.cohort.sharing_folds().values()]
        return digest_of(self.cohort.digest(), folds, str(self.config.seed), *shared)

    @property
    def _data_digest(self) -> str:
        """Names everything but the models that any prediction depends on."""
        frozen = self._embedded.encoders
        tuned = [(f"{r}/{f}", e) for (r, f), e in sorted(self.fold_encoders.identities.items())]
        names = [
            f"{where}{name}={identities[name].digest}"
            for where, identities in [("", frozen), *tuned]
            for name in sorted(identities)
        ]
        return digest_of(self._folds_key, *names, *self._view_names)

    @property
    def _view_names(self) -> list[str]:
        """Names what else of the pictures every arm is given than what embeds them."""
        names = view_names(self.fold_encoders, self.config.finetune)
        return [*names, roles_text(self.cohort.images)] if role_names(self._modalities) else names

    @property
    def _writes(self) -> bool:
        return self.workers.is_first and not self._reads_only

    def _write_cohort(self, cohort: Cohort) -> None:
        if self._writes:
            write_cohort(self.paths, self.config, self._data_root, cohort)
