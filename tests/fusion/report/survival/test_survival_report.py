"""Reports on times to an event: whole, true to their kind, and the same every time."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from survival_evidence_example import BASELINE, made, predictions_of

from fusion.evidence import collect
from fusion.evidence.survival import SurvivalEvidence
from fusion.metrics.survival.simulation import Design
from fusion.report import ReportFiles, write_report
from fusion.report.terminal import print_evidence

BINARY_WORDS = ("AUROC", "AUPRC", "prevalence", "logit", "sensitivity", "accuracy", "F1", "ROC")


def evidence_of(design: Design | None = None) -> SurvivalEvidence:
    study = made(design)
    found = collect(study.inputs(), predictions_of(study))
    assert isinstance(found, SurvivalEvidence)
    return found


@pytest.fixture(scope="module", params=["one event", "competing, late"])
def evidence(request: pytest.FixtureRequest) -> SurvivalEvidence:
    competing = Design(effect=1.0, censoring=0.1, competing=0.4, late=0.3)
    return evidence_of(None if request.param == "one event" else competing)


@pytest.fixture(scope="module")
def files(evidence: SurvivalEvidence, tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report(evidence, tmp_path_factory.mktemp("report"))


def test_no_word_of_another_kind_of_outcome(files: ReportFiles) -> None:
    card = (files.html.parent / "model_card.md").read_text(encoding="utf-8")
    for text in (files.markdown.read_text(encoding="utf-8"), card):
        for word in BINARY_WORDS:
            assert word not in text, word


def test_metrics_have_their_horizon_in_a_column(
    evidence: SurvivalEvidence, files: ReportFiles
) -> None:
    table = pd.read_csv(files.metrics)
    own = table[table["arm"] == BASELINE].set_index(["metric", "horizon_days"])
    arm = next(a for a in evidence.arms if a.arm == BASELINE)
    found = own.loc[("brier", 730.5)]
    assert found["value"] == arm.metrics["brier_at_730.5"].value
    assert found["low"] == arm.metrics["brier_at_730.5"].low
    assert own.loc[("uno_c", float("nan")), "value"].item() == arm.metrics["uno_c"].value


def test_run_json_holds_every_metric(evidence: SurvivalEvidence, files: ReportFiles) -> None:
    record = json.loads(files.run.read_text(encoding="utf-8"))
    assert record["endpoint"] == "time_to_event"
    assert record["follow_up"]["events"] == evidence.follow_up.events
    for arm, kept in zip(evidence.arms, record["arms"], strict=True):
        assert kept["metrics"].keys() == arm.metrics.keys()
    assert "prevalence" not in record["run"]


def test_same_evidence_same_bytes(
    evidence: SurvivalEvidence, files: ReportFiles, tmp_path: Path
) -> None:
    again = write_report(evidence, tmp_path)
    for one, other in ((files.html, again.html), *zip(files.figures, again.figures, strict=True)):
        assert one.read_bytes() == other.read_bytes()


def test_the_terminal_shows_every_arm_in_100_columns(evidence: SurvivalEvidence) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    print_evidence(evidence, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert any("C [95 % CI]" in line for line in lines)
