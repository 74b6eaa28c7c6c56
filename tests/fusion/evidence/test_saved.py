"""A run's folder alone gives its report again, and never one made from parts of two runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import DataError
from featurestore.sealed import write_sealed_table, write_sealed_text
from fusion.audit import AuditReport, Check, CheckResult, Hit
from fusion.config import AblationConfig
from fusion.evaluation.ladder import METRICS, Claim, Ladder, Rung
from fusion.evidence import (
    EncoderFacts,
    Evidence,
    ReportInputs,
    RunFacts,
    collect,
    finished_run,
    save_inputs,
)
from fusion.evidence.about import EVERY_FOLD
from fusion.evidence.as_text import same
from fusion.evidence.saved import COHORT_TABLES
from fusion.metrics.bootstrap import Estimate
from fusion.paths import RunPaths
from fusion.report import write_report

NAN = float("nan")
CONFIG = """
name: made
cohort: {outcome: synthetic_metastasis, sources: [{kind: synthetic, patients: 60}]}
"""


def facts(cohort: Cohort) -> RunFacts:
    return RunFacts(
        name="made",
        command="melafuse run made.yaml",
        outcome_name=cohort.outcome.name,
        outcome_definition=cohort.outcome.definition,
        unit="patient",
        as_of="diagnosis",
        linkage=cohort.linkage,
        synthetic=cohort.synthetic,
        n_patients=cohort.n_patients,
        n_events=cohort.n_events,
        n_images=len(cohort.images),
        prevalence=cohort.prevalence,
        seed=0,
        cohort_digest=cohort.digest(),
        folds_digest="f" * 64,
        encoders=(EncoderFacts("net", 12, "random(seed=0)", "never", {EVERY_FOLD: "0123"}),),
        versions={"python": "3.11"},
        caveats=("A caveat with ümlauts – and dashes.",),
        notes=("A note.",),
        facts={"oracle_auroc": 0.1 + 0.2},
        licences=("test: none, 3 images",),
        arms_left_out=("arm failed in repeat 0, fold 1: one class",),
    )


def audit() -> AuditReport:
    check = Check("site", "Site", "Looks at sites.", "warning", "Split by site.", lambda s: ())
    hits = (
        Hit("As it is.", ("a", "b"), float(np.float64(0.7)), "note"),
        Hit("Undefined.", value=NAN),
        Hit("No figure."),
    )
    return AuditReport(
        (
            CheckResult(check, "fired", hits, (Hit("Known."),), "known: because"),
            CheckResult(check, "not_applicable", note="one site"),
        )
    )


def ladder() -> Ladder:
    values = dict.fromkeys(METRICS, Estimate(0.7, NAN, NAN))
    return Ladder((Rung("first", "First", "", 9, 3, 2, values),), Claim("A paper", {"auroc": 0.99}))


def predictions(cohort: Cohort, folds: Folds) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    test = folds.table[folds.table["role"] == "test"].merge(
        cohort.patients[["patient_id", "outcome"]]
    )
    parts = []
    for model, signal in (("head", 1.0), ("clinical_reference", 0.3), ("permuted_labels", 0.0)):
        score = signal * test["outcome"] + rng.normal(size=len(test))
        parts.append(
            test[["repeat", "fold", "patient_id"]].assign(
                run="made",
                arm=f"{model}[all]",
                model=model,
                modalities="net_a+clinical",
                design="ablation",
                y=test["outcome"].astype(int),
                score=score,
                probability=1 / (1 + np.exp(-score)),
                threshold=0.5,
            )
        )
    return pd.concat(parts, ignore_index=True)


def as_it_is(cohort: Cohort) -> Cohort:
    return cohort


def lent(cohort: Cohort) -> Cohort:
    """Two patients share each row, so that the bootstrap draws them together."""
    donors = [f"D{k // 2}" for k in range(cohort.n_patients)]
    patients = cohort.patients.assign(donor_id=donors)
    return dataclasses.replace(cohort, patients=patients, linkage="label_matched", synthetic=True)


def without_images(cohort: Cohort) -> Cohort:
    return dataclasses.replace(cohort, images=cohort.images.iloc[:0])


@pytest.fixture
def studied(cohort: Cohort, request: pytest.FixtureRequest) -> Cohort:
    """The cohort, changed by what a test was given."""
    change: Callable[[Cohort], Cohort] = getattr(request, "param", lent)
    return change(cohort)


@pytest.fixture
def inputs(studied: Cohort) -> ReportInputs:
    history = pd.DataFrame(
        {"arm": "head[all]", "repeat": 0, "fold": 0, "member": 0, "epoch": [0, 1]}
    ).assign(train_loss=[0.7, 0.6], validation_loss=[0.7, 0.65], validation_auroc=[0.5, 0.6])
    return ReportInputs(
        run=facts(studied),
        cohort=studied,
        baseline="head[all]",
        draws=200,
        seed=0,
        history=history,
        encoder_history=pd.DataFrame(),
        audit=audit(),
        ladder=ladder(),
        fits=(),
        config=AblationConfig(),
    )


@pytest.fixture
def folder(inputs: ReportInputs, folds: Folds, tmp_path: Path) -> RunPaths:
    """A finished run: what the study writes, then the inputs, then the report."""
    paths = RunPaths(tmp_path / "run")
    paths.cohort.mkdir(parents=True)
    paths.work.mkdir()
    write_sealed_text(paths.config, CONFIG)
    for name in COHORT_TABLES:
        write_sealed_table(paths.cohort / f"{name}.parquet", getattr(inputs.cohort, name))
    records = json.dumps(inputs.cohort.dictionary.to_records())
    write_sealed_text(paths.cohort / "dictionary.json", records)
    write_sealed_table(paths.work / "history.parquet", inputs.history)
    table = predictions(inputs.cohort, folds)
    write_sealed_table(paths.predictions, table)
    save_inputs(inputs, paths)
    write_report(collect(inputs, table), paths.report)
    return paths


@pytest.mark.parametrize("studied", [lent, as_it_is, without_images], indirect=True)
def test_the_folder_alone_gives_the_same_bytes(folder: RunPaths, tmp_path: Path) -> None:
    write_report(finished_run(folder).evidence, tmp_path / "again")
    written = sorted(p.relative_to(folder.report) for p in folder.report.rglob("*.*"))
    assert len(written) > 15
    for file in written:
        assert (tmp_path / "again" / file).read_bytes() == (folder.report / file).read_bytes(), file


def test_the_saved_inputs_are_strict_json(folder: RunPaths) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    record = json.loads(folder.report_inputs.read_text(), parse_constant=refuse)
    assert record["run"]["facts"]["oracle_auroc"] == 0.1 + 0.2
    assert record["audit"][0]["hits"][1]["value"] == "nan"
    assert set(record["files"]) == {
        "predictions.parquet",
        "work/history.parquet",
        "cohort/dictionary.json",
        *(f"cohort/{name}.parquet" for name in COHORT_TABLES),
    }


@pytest.mark.parametrize("name", ["predictions.parquet", "cohort/patients.parquet"])
def test_a_changed_table_is_refused_by_name(folder: RunPaths, name: str) -> None:
    path = folder.root / name
    write_sealed_table(path, pd.read_parquet(path).iloc[:-1])
    with pytest.raises(DataError, match=rf"{path.name} changed since the report was made; `melaf"):
        finished_run(folder)


def test_a_missing_table_is_refused_by_name(folder: RunPaths) -> None:
    shutil.move(folder.work / "history.parquet", folder.root)
    with pytest.raises(DataError, match=r"cannot read .*history\.parquet: No such file"):
        finished_run(folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder of a finished run"):
        finished_run(RunPaths(tmp_path))


def test_a_run_without_its_configuration_is_refused(folder: RunPaths) -> None:
    folder.config.unlink()
    with pytest.raises(DataError, match=r"cannot read .*config\.yaml"):
        finished_run(folder)


def _without_baseline(record: dict[str, object]) -> None:
    del record["baseline"]


def _strange_severity(record: dict[str, object]) -> None:
    record["audit"][0]["severity"] = "fatal"  # type: ignore[index]


def _foreign_file(record: dict[str, object]) -> None:
    record["files"] = {"../../etc/passwd": "0" * 64}


def _other_version(record: dict[str, object]) -> None:
    record["version"] = 99


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_baseline, "baseline: field required"),
        (_strange_severity, r"audit\.0\.severity"),
        (_foreign_file, "names files that a run does not have"),
        (_other_version, "of another version of melafuse"),
    ],
)
def test_a_changed_record_is_one_line(
    folder: RunPaths, change: Callable[[dict[str, object]], None], said: str
) -> None:
    record = json.loads(folder.report_inputs.read_text())
    change(record)
    write_sealed_text(folder.report_inputs, json.dumps(record))
    with pytest.raises(DataError, match=said) as error:
        finished_run(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "[" * 100_000])
def test_what_is_no_record_is_one_line(folder: RunPaths, text: str) -> None:
    write_sealed_text(folder.report_inputs, text)
    with pytest.raises(DataError, match=r"report\.json is"):
        finished_run(folder)


def test_numbers_are_computed_once_for_the_same_inputs(
    folder: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = finished_run(folder).evidence

    def refused(*_: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr("fusion.evidence.kept.collect", refused)
        kept = finished_run(folder).evidence
        for field in dataclasses.fields(computed):
            if field.name not in ("config", "audit"):
                assert same(getattr(kept, field.name), getattr(computed, field.name)), field.name
        assert kept.config == computed.config
        assert kept.audit is not None
        record = json.loads(folder.report_inputs.read_text())
        record["run"]["command"] = "melafuse fit"
        write_sealed_text(folder.report_inputs, json.dumps(record))
        assert finished_run(folder).evidence.run.command == "melafuse fit"


def _of_another_seed(folder: RunPaths) -> None:
    record = json.loads(folder.report_inputs.read_text())
    write_sealed_text(folder.report_inputs, json.dumps(record | {"seed": 1}))


def _of_other_settings(folder: RunPaths) -> None:
    write_sealed_text(folder.config, CONFIG + "ablation: {subgroups: [sex]}\n")


def _of_another_outcome(folder: RunPaths) -> None:
    write_sealed_text(folder.config, CONFIG.replace("name: made", "name: another"))


def _truncated(folder: RunPaths) -> None:
    folder.evidence.write_bytes(folder.evidence.read_bytes()[:-9])


def _flipped(folder: RunPaths) -> None:
    data = bytearray(folder.evidence.read_bytes())
    data[len(data) // 2] ^= 1
    folder.evidence.write_bytes(data)


def _poisoned(folder: RunPaths) -> None:
    """Sealed as it should be, but of something else."""
    first, _, rest = folder.evidence.read_text().partition("\n")
    other = json.loads(first) | {"key": "0" * 64}
    write_sealed_text(folder.evidence, f"{json.dumps(other)}\n{rest}")


def _of_other_code(folder: RunPaths) -> None:
    first, _, rest = folder.evidence.read_text().partition("\n")
    write_sealed_text(folder.evidence, f"{first}\n{rest.replace('ArmEvidence', 'ArmEvidences')}")


@pytest.mark.parametrize(
    "change",
    [
        _of_another_seed,
        _of_other_settings,
        _of_another_outcome,
        _truncated,
        _flipped,
        _poisoned,
        _of_other_code,
    ],
)
def test_numbers_of_anything_else_are_computed_again(
    folder: RunPaths, change: Callable[[RunPaths], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = finished_run(folder).evidence
    asked: list[ReportInputs] = []

    def noted(inputs: ReportInputs, _: pd.DataFrame) -> Evidence:
        asked.append(inputs)
        return before

    monkeypatch.setattr("fusion.evidence.kept.collect", noted)
    change(folder)
    finished_run(folder)
    assert len(asked) == 1
