"""The fit ledger: what it keeps, where it survives, and that it catches a model that cheats."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.distributed import ALONE
from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import DataError
from featurestore.sealed import write_sealed_table, write_sealed_text
from fusion.arms import Arm, Modality
from fusion.audit import AuditSubject, fits
from fusion.audit.run import run_checks
from fusion.config import AblationConfig, HeadConfig, JointConfig, MetadataConfig, TuningConfig
from fusion.evaluation.joint_fits import fit_together
from fusion.evaluation.records import read_fits
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan, plan_tasks
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.ledger import FitRecord, Ledger, StepRecord, patients_digest, recording, witness
from fusion.metrics.logits import by_patient, sigmoid
from fusion.models.base import InnerPredictions
from fusion.models.grid import GridModel
from fusion.models.registry import MODELS, ModelKind
from fusion.models.thresholds import inner_threshold

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=2, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=2, ensemble=2),
    joint=JointConfig(epochs=1),
    metadata=MetadataConfig(embedding_components=3, expression_components=2),
    jobs=1,
)
HOLD_OUT = (
    "fusion_head",
    "fusion_head_attention",
    "fusion_head_gated",
    "fusion_head_low_rank",
    "joint",
)
"""Models that leave training patients out of the fit, to end it."""

IDS = st.sets(st.text(max_size=4), min_size=1, max_size=8)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What an evaluation needs."""

    cohort: Cohort
    folds: Folds
    table: FeatureTable
    modalities: tuple[Modality, ...]

    def run(self, work: Path, models: list[str], **changes: Any) -> tuple[FitRecord, ...]:
        evaluate(
            self.cohort,
            self.folds,
            lambda repeat, fold: self.table,
            [self.arm(name) for name in models],
            Plan(CONFIG.model_copy(update=changes), 0, "ledger", work, "d"),
        )
        return read_fits(work / "choices.json")

    def arm(self, model: str) -> Arm:
        pictures = Modality("net_p", embeddings=("net_p",))
        seen = tuple(pictures if m.embeddings else m for m in self.modalities)
        return Arm(model, model, seen if model == "joint" else self.modalities)

    def part(self, fold: int, role: str) -> list[str]:
        side = self.folds.test if role == "test" else self.folds.training
        return list(side((0, fold)))

    def audited(self, records: tuple[FitRecord, ...]) -> AuditSubject:
        groups = {patient: patient for patient in self.cohort.patients["patient_id"]}
        return AuditSubject(self.cohort, groups, self.folds, CONFIG, {}, records)


@pytest.fixture(scope="module")
def setting(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Setting:
    return Setting(cohort, folds, table, modalities)


class TestRecords:
    def test_outside_a_task_nothing_is_kept(self) -> None:
        witness("scaling", "fitted on", ["a"])
        with recording(["a"]) as ledger:
            pass
        witness("scaling", "fitted on", ["a"])
        assert ledger.steps() == ()

    def test_a_step_is_one_record_over_all_its_calls(self) -> None:
        with recording(["a", "b"]) as ledger:
            witness("scaling", "fitted on", np.array(["b", "b"], dtype=object))
            witness("threshold", "selected on", ["a"])
            witness("scaling", "fitted on", ["c", "a"])
        scaling, threshold = ledger.steps()
        assert scaling == StepRecord(
            "scaling", "fitted on", 3, patients_digest(["c", "b", "a"]), ("c",)
        )
        assert threshold == StepRecord("threshold", "selected on", 1, patients_digest(["a"]))

    def test_a_task_inside_a_task_has_its_own(self) -> None:
        with recording(["a"]) as outer:
            with recording(["b"]) as inner:
                witness("x", "fitted on", ["b"])
            witness("y", "fitted on", ["a"])
        assert [s.step for s in inner.steps()] == ["x"]
        assert [s.step for s in outer.steps()] == ["y"]

    def test_it_closes_when_a_fit_fails(self) -> None:
        with pytest.raises(DataError), recording(["a"]) as ledger:
            raise DataError("no")
        witness("x", "fitted on", ["b"])
        assert ledger.steps() == ()

    @given(training=IDS, seen=IDS)
    def test_who_is_outside_does_not_depend_on_order(
        self, training: set[str], seen: set[str]
    ) -> None:
        steps = []
        for ids in (sorted(seen), sorted(seen, reverse=True) * 2):
            ledger = Ledger(training)
            ledger.note("x", "selected on", ids)
            steps.append(ledger.steps())
        assert steps[0] == steps[1]
        (step,) = steps[0]
        assert set(step.outside_training) == seen - training
        assert (step.digest == ledger.training_digest) == (seen == training)
        assert StepRecord.from_record(json.loads(json.dumps(dataclasses.asdict(step)))) == step

    def test_without_an_ablation_there_are_none(self, tmp_path: Path) -> None:
        assert read_fits(tmp_path / "choices.json") == ()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"fits": [{"arm": "a", "repeat": 0, "fold": 0, "training_digest": "x"}]}',
            '{"fits": [{"arm": "a", "repeat": 0, "fold": 0, "training_digest": "x", "steps": '
            '[{"step": "s", "role": "seen", "patients": 1, "digest": "", "outside_training": []}]}]'
            "}",
        ],
    )
    def test_a_damaged_file_says_what_to_do(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "choices.json"
        write_sealed_text(path, text)
        with pytest.raises(DataError, match=r"choices\.json: no ledger .*run the ablation again"):
            read_fits(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_records_its_fit_on_training_patients(
    name: str, setting: Setting, tmp_path: Path
) -> None:
    """A model that forgot to call `witness` would be clean for want of evidence."""
    folds = Folds(setting.folds.table[setting.folds.table["fold"] < 2])  # what a fit is of differs
    records = dataclasses.replace(setting, folds=folds).run(tmp_path, [name])
    assert [(f.arm, f.fold) for f in records] == [(name, 0), (name, 1)]
    for fit in records:
        training = setting.part(fit.fold, "train")
        assert fit.training_digest == patients_digest(training)
        assert [s.step for s in fit.steps if s.outside_training] == []
        roles = {s.role for s in fit.steps}
        assert roles == {"fitted on", "selected on"}
        fitted = max(s.patients for s in fit.steps if s.role == "fitted on")
        assert fitted >= 0.7 * len(training) if name in HOLD_OUT else fitted == len(training)
        assert "threshold" in {s.step for s in fit.steps if s.role == "selected on"}


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


QUICK = ["logistic_regression", "rank_average", "prevalence"]


@pytest.fixture(scope="module")
def alone(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work folder of a run in this process; do not change it."""
    work = tmp_path_factory.mktemp("alone")
    assert len(setting.run(work, QUICK)) == 9
    return work


class TestWhereFitsRun:
    @pytest.mark.slow
    def test_in_worker_processes(self, setting: Setting, alone: Path, tmp_path: Path) -> None:
        setting.run(tmp_path, QUICK, jobs=2)
        assert (tmp_path / "choices.json").read_bytes() == (alone / "choices.json").read_bytes()

    @pytest.mark.slow
    def test_on_a_cluster(
        self, setting: Setting, alone: Path, tmp_path: Path, scheduler: str
    ) -> None:
        setting.run(tmp_path, QUICK, scheduler=scheduler)
        assert (tmp_path / "choices.json").read_bytes() == (alone / "choices.json").read_bytes()

    def test_reused_fits_keep_their_records(
        self, setting: Setting, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
        first = read_fits(tmp_path / "choices.json")
        assert setting.run(tmp_path, QUICK) == first
        parts = sorted((tmp_path / "parts").glob("*.parquet"))
        for part in parts[::2]:
            part.unlink()
        (tmp_path / "choices.json").unlink()
        assert setting.run(tmp_path, QUICK) == first
        assert (tmp_path / "choices.json").read_bytes() == (alone / "choices.json").read_bytes()
        monkeypatch.setattr("fusion.evaluation.fitting.model_of", None)  # nothing is left to fit
        assert setting.run(tmp_path, QUICK) == first

    def test_a_fit_without_a_record_is_made_again(self, setting: Setting, tmp_path: Path) -> None:
        first = setting.run(tmp_path, ["prevalence"])
        for part in (tmp_path / "parts").glob("*.parquet"):
            write_sealed_table(part, pd.read_parquet(part))
        assert setting.run(tmp_path, ["prevalence"]) == first

    @pytest.mark.slow
    def test_by_the_processes_that_fit_joint_networks(
        self, setting: Setting, tmp_path: Path
    ) -> None:
        folds = Folds(setting.folds.table[setting.folds.table["fold"] == 0])
        one = dataclasses.replace(setting, folds=folds)
        plan = Plan(CONFIG, 0, "ledger", tmp_path, "d")
        tasks = plan_tasks(folds, [one.arm("joint")], plan)
        fit_together(tasks, lambda repeat, fold: one.table, plan, ALONE)
        (fit,) = one.run(tmp_path, ["joint"])
        assert {"joint network", "scaling", "head"} <= {s.step for s in fit.steps}


class Cheater(GridModel):
    """Encodes, or chooses a threshold, with the help of patients it was not given.

    `everyone` stands for what happens in practice: a table that was encoded before it was split.
    """

    everyone: FeatureTable
    cheats_at: str

    def fit(self, table: FeatureTable, seed: int) -> Self:
        super().fit(table, seed)
        if self.cheats_at == "encoding":
            TabularEncoder(self.arm.modalities, self.settings.metadata).fit(self.everyone)
        else:
            patients, y, score = by_patient(
                self.everyone.patient_ids, self.everyone.y, self.predict_proba(self.everyone)
            )
            inner_threshold(InnerPredictions(patients, y, sigmoid(score)))
        return self


@pytest.mark.parametrize(
    ("cheats_at", "expected"),
    [("encoding", ["transform_saw_test"]), ("threshold", ["selection_on_test"])],
)
def test_a_model_that_cheats_is_caught(
    cheats_at: str,
    expected: list[str],
    setting: Setting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody tells the ledger: the encoder and the threshold themselves do."""
    monkeypatch.setattr(Cheater, "everyone", setting.table, raising=False)
    monkeypatch.setattr(Cheater, "cheats_at", cheats_at, raising=False)
    kind = ModelKind(Cheater, ("metadata", "tuning"))
    monkeypatch.setitem(MODELS, "cheater", kind)
    records = setting.run(tmp_path, ["logistic_regression", "cheater"])
    report = run_checks(fits.CHECKS, setting.audited(records))
    assert [r.check.name for r in report.fired] == expected
    assert report.invalidated
    for hit in report.fired[0].hits:
        assert hit.subjects[0] == "cheater"
        assert hit.value == len(setting.part(0, "test"))
        assert setting.part(0, "test")[0] in hit.text
