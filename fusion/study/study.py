"""A study from its configuration to its report.

Every command of the command line is a method here, or of `Stages`, with the same name.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from extractor.config import BackboneConfig
from extractor.config_finetune import fine_tuned_names
from featurestore.cohort import patient_groups
from featurestore.errors import ConfigError, DataError
from featurestore.export.package import Exported
from featurestore.software import digest_of
from featurestore.store import EncoderIdentity
from featurestore.units import counted
from fusion.audit import AuditReport, AuditSubject, run_audit
from fusion.audit.same_folds import require_same_folds
from fusion.config import ClaimConfig, ExportConfig
from fusion.endpoints import find_endpoint
from fusion.evaluation import (
    Claim,
    Ladder,
    PatientOverlay,
    TimeLadder,
    climb,
    climb_time,
    predictions_table,
    predictors_of,
    read_overlays,
    read_predictions,
    save_overlays,
)
from fusion.evaluation.overlay_drawing import overlays_key, overlays_of
from fusion.evaluation.records import read_fits, read_records, read_seconds
from fusion.evaluation.tasks import Plan
from fusion.evaluation.time_ladder_file import ladder_key, read_ladder, save_ladder
from fusion.evidence import (
    Evidence,
    ReportInputs,
    finished_run,
    kept_or_collected,
    made_of,
    read_table,
    run_facts,
    save_inputs,
)
from fusion.evidence.saved import has_time_ladder
from fusion.export.embeddings import EmbeddingForm
from fusion.export.study import export_study
from fusion.export.tables import Material
from fusion.features import NO_VIEWS, FeatureReader, FeatureTable, ViewPlan
from fusion.features.tuned import NO_FOLD_ENCODERS, FoldEncoders
from fusion.report import ReportFiles, write_report
from fusion.study.made import Made, evidence_key, file_digest
from fusion.study.own import OwnStages
from fusion.study.validation import acceptances


@dataclasses.dataclass(frozen=True)
class FinalFeatures:
    """What a final system is fitted on (`Study.final_features`).

    Attributes:
        table: Features of all patients; nobody in it may be scored.
        identities: Identity of each encoder by name.
        backbones: The network behind each name, with its weights.
    """

    table: FeatureTable
    identities: Mapping[str, EncoderIdentity]
    backbones: Mapping[str, BackboneConfig]


class Study(OwnStages):
    """One configuration and its folder, up to everything that is made from the predictions.

    Example:
        >>> study = Study.open("configs/demo.yaml", out="runs/demo")  # doctest: +SKIP
        >>> predictions = study.ablate()  # doctest: +SKIP
    """

    def final_features(self) -> FinalFeatures:
        """Features of all patients, embedded by encoders that may have learned from all of them.

        They are for fitting what new patients are scored with; nobody in the table can be scored.

        Raises:
            ConfigError: `finetune.test_views` is set: scores would be means over views.
        """
        config = self.config.finetune
        tuned = self.fold_encoders if config is None or config.external else self._final_encoders
        if config is not None and config.test_views:
            raise ConfigError("finetune.test_views: a final system scores pictures as they are")
        key = next(iter(tuned.identities), None)
        identities = {**self._embedded.encoders}
        backbones = {b.name: b for b in self.config.extract.backbones}
        views = NO_VIEWS
        if key is not None and config is not None:
            identities |= tuned.identities[key]
            backbones |= tuned.backbones[key]
            views = ViewPlan(tuned.views[key], config.views) if tuned.views[key] else NO_VIEWS
        table = self._reader.read(identities, [], "", backbones, views)
        return FinalFeatures(table.learned_rows(), identities, backbones)

    @cached_property
    def _final_encoders(self) -> FoldEncoders:
        config = self.config.finetune
        if config is None or self.cohort.pictures.empty:
            return NO_FOLD_ENCODERS
        from fusion.features.fold_encoders import on_everyone

        plans = on_everyone(self.cohort, self.groups, config, self.config.seed)
        return self._fine_tune(plans, self.folds.keys[:1], config)

    def evidence(self, predictions: pd.DataFrame) -> Evidence:
        """Computes every number of the report from the predictions of the last `ablate`.

        What else it takes is saved, so that `fusion.evidence.saved.finished_run` can do it
        again from the run's folder. Where nothing under the numbers has changed since, that is
        what is done.
        """
        key = self._evidence_key
        if self._made.holds("evidence", key):
            with contextlib.suppress(DataError, ConfigError):  # then it is made anew
                if not has_time_ladder(self.paths):  # which has patients of its own
                    return finished_run(self.paths).evidence
        history = self.paths.work / "history.parquet"
        inputs = ReportInputs(
            run=run_facts(
                self.config,
                self.cohort,
                self._embedded.encoders,
                self.fold_encoders.identities,
                self._folds_key,
                self.command,
                self.paths.choices,
            ),
            cohort=self.cohort,
            baseline=self.baseline,
            draws=self.config.ablation.bootstrap_draws,
            seed=self.config.seed,
            history=read_table(history) if history.exists() else pd.DataFrame(),
            encoder_history=self.fold_encoders.history,
            audit=self.audit(predictions),
            ladder=self.ladder(),
            time_ladder=self.time_ladder(),
            fits=read_records(self.paths.choices),
            config=self.config.ablation,
            overlays=self.overlays(predictions),
            seconds=read_seconds(self.paths.work),
        )
        save_inputs(inputs, self.paths)
        self._made.note("evidence", key)
        return kept_or_collected(inputs, predictions, made_of(self.paths), self.paths.evidence)

    @property
    def _made(self) -> Made:
        return Made(self.paths.made)

    @property
    def _evidence_key(self) -> str:
        """See `made.evidence_key`; asked for after `ablate`, which writes the predictions."""
        return evidence_key(self.config, self.cohort, self._data_digest, self.paths)

    @property
    def _plan(self) -> Plan:
        """Heat is of log odds: pictures of other kinds of outcomes are not drawn."""
        has_odds = "probability" in find_endpoint(self.cohort.outcome.kind).predictions
        asked = self.config.ablation.overlays and not self.cohort.pictures.empty
        return dataclasses.replace(
            super()._plan, drawn=self.baseline if asked and has_odds else None
        )

    def overlays(self, predictions: pd.DataFrame) -> tuple[PatientOverlay, ...]:
        """Grad-CAM of some patients by the baseline; drawn once for the same predictions.

        Args:
            predictions: The predictions table.
        """
        config, plan = self.config.ablation, self._plan
        if plan.drawn is None:
            return ()
        pictured = self.cohort.pictures["patient_id"].astype(str).unique().tolist()
        tasks = self.tasks([arm for arm in self.arms if arm.name == plan.drawn])
        largest = int(self.config.extract.max_megapixels * 1e6)
        key = overlays_key(predictions, tasks, config.overlays, largest)
        shared = self.project.shared / "overlays" / f"{key}.json"  # other runs may show them too
        drawn = read_overlays(self.paths.overlays, key)
        if drawn is None:
            drawn = read_overlays(shared, key)
            if drawn is not None:
                save_overlays(drawn, key, self.paths.overlays)
        if drawn is None:
            drawn = overlays_of(
                predictions, tasks, self.features, plan, pictured, largest, self._progress
            )
            for path in (shared, self.paths.overlays):
                save_overlays(drawn, key, path)
        return drawn

    def audit(self, predictions: pd.DataFrame | None = None) -> AuditReport:
        """Runs every check that can look at what there is.

        Before the first ablation these are the checks of cohort and folds; nothing is embedded or
        fitted for them.

        Args:
            predictions: The predictions table; by default the one of the last `ablate`.

        Raises:
            ConfigError: `audit.accept` names no check, or one that cannot be accepted.
            DataError: The predictions are of other folds than this configuration makes.
        """
        accept = acceptances(self.config.audit)
        if predictions is None and self.paths.predictions.exists():
            predictions = self._read_predictions()
        if predictions is None:
            cohort = self.source_cohort
            groups = patient_groups(cohort.patients, cohort.images)
            folds = self.source_cohorts.folds(cohort)
            subject = AuditSubject(cohort, groups, folds, self.config.ablation, {})
        else:
            fits = read_fits(self.paths.choices)
            require_same_folds(predictions, fits, self.folds, self.paths.predictions)
            subject = AuditSubject(
                self.cohort,
                self.groups,
                self.folds,
                self.config.ablation,
                {key: self.encoders(*key) for key in self.folds.keys},
                fits,
                predictions,
            )
        subject = dataclasses.replace(subject, seed=self.config.seed)
        return run_audit(subject, accept, self._progress)

    def ladder(self) -> Ladder | None:
        """Climbs the linkage ladder; None unless rows were lent by label."""
        cohort = self.cohort
        if cohort.donors is None:
            return None
        donors = cohort.donors
        alone = {p: p for p in donors.patients["patient_id"]}
        table = self._reader.read(self._embedded.encoders, [])
        return climb(
            cohort,
            table,
            FeatureReader(donors, alone, self.store).read({}, []),
            self.config.ladder,
            self.config.ablation,
            _claim(self.config.claim),
            self.config.seed,
            self._progress,
        )

    def time_ladder(self) -> TimeLadder | None:
        """Climbs the time ladder, once; None unless a predictor became known after time zero.

        Its first rung counts from the time zero that the outcome is defined with, whatever the
        study counts from, and has everyone whose time is known from there.
        """
        cohort = self.cohort
        if cohort.outcome.kind != "time_to_event":
            return None
        zero = self.config.cohort.from_time_zero().find_outcome().as_of_time
        encoders = self._embedded.encoders
        predictors = predictors_of(cohort, self._modalities, encoders, zero)
        if predictors is None:
            return None
        study, config = self._counted_from_zero(predictors.late), self.config
        data = f"{study._data_digest} {config.seed}"
        key = ladder_key(data, predictors, config.time_ladder, config.ablation)
        found = read_ladder(self.paths.time_ladder, key)
        if found is None:
            found = climb_time(
                study.cohort,
                study._reader.read(study._embedded.encoders, []),
                predictors,
                config.time_ladder,
                config.ablation,
                config.seed,
                self._progress,
            )
            save_ladder(found, key, self.paths.time_ladder)
        return found

    def _counted_from_zero(self, late: Sequence[str]) -> Study:
        """The study of everyone from the outcome's own time zero, that models see late columns of.

        Its embeddings are those of this study, and more where it has more patients.
        """
        section = self.config.cohort.from_time_zero(late)
        if section == self.config.cohort:
            return self
        shared = {"store": self.store.root, "project": self.project.root}
        config = self.config.model_copy(update={"cohort": section, **shared})
        folder = self.paths.work / "time_ladder"
        return Study(config, folder, self._data_root, self._progress)

    def report(self, evidence: Evidence) -> ReportFiles:
        """Writes the report."""
        return write_report(evidence, self.paths.report)

    def keep_report(self, evidence: Evidence) -> Path:
        """Writes the report, unless it is there and of this evidence; returns its page.

        Args:
            evidence: That of `evidence`, as it is.
        """
        self._unless_made("report", self.paths.report, {}, lambda: self.report(evidence))
        return self.paths.report / "report.html"

    def _unless_made(
        self, what: str, folder: Path, settings: Any, make: Callable[[], object]
    ) -> None:
        key = digest_of(self._evidence_key, what, settings)
        self._made.unless(what, key, folder, make, self._progress)

    def export(
        self,
        predictions: pd.DataFrame | None = None,
        config: ExportConfig | None = None,
        folder: Path | None = None,
    ) -> Exported:
        """Writes the tables for other tools.

        Args:
            predictions: The predictions table; by default the one of the last `ablate`.
            config: Formats, tables and form of the embeddings; by default the configuration's.
            folder: Where to; by default in the run's folder, de-identified tables apart.

        Raises:
            ConfigError: De-identification has no key, or the limit of variables is too low.
            DataError: The predictions are of other folds than this configuration makes.
            StoreError: A file could not be written, or reads back differently.
        """
        chosen = config or self.config.export
        if predictions is None:
            predictions = self._read_predictions()
        material = Material(
            self.cohort,
            self.folds,
            lambda repeat, fold: self.features(repeat, fold).pictures(),
            predictions,
            EmbeddingForm.parse(chosen.embeddings),
            fine_tuned_names(self.config.finetune),
        )
        self._progress.start("export", 1)
        folder = folder or self.paths.export_folder(bool(chosen.deidentify))
        exported = export_study(material, self.baseline, chosen, folder, self.config.name)
        self._progress.finish(f"export: {counted(len(exported.paths), 'file')} in {folder}")
        return exported

    def run(self) -> Evidence:
        """All stages in order: extract, ablate, report, export."""
        predictions = self.ablate()
        evidence = self.evidence(predictions)
        self.keep_report(evidence)
        chosen = self.config.export
        folder = self.paths.export_folder(bool(chosen.deidentify))
        settings = [chosen.model_dump(mode="json"), file_digest(chosen.key)]
        self._unless_made("export", folder, settings, lambda: self.export(predictions))
        return evidence

    def _read_predictions(self) -> pd.DataFrame:
        kind = self.source_cohort.outcome.kind
        if not self.paths.predictions.exists():
            return predictions_table([], kind)
        return read_predictions(read_table(self.paths.predictions), kind)


def _claim(config: ClaimConfig | None) -> Claim | None:
    if config is None:
        return None
    stated = {"auroc": config.auc, "auprc": config.aupr, "accuracy": config.accuracy}
    return Claim(config.source, {k: v for k, v in stated.items() if v is not None})
