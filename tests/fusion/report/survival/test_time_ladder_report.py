"""The time ladder in a report: a chapter, a table and a warning, or nothing where there is none."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from survival_evidence_example import made, predictions_of

from fusion.evaluation import TimeLadder
from fusion.evaluation.time_ladder import Predictors, TimeRung
from fusion.evaluation.time_rungs import CLEARED, FROM_ZERO, HAD_EVENT, NO_DAY, PRIMARIES
from fusion.evidence import Estimate, collect
from fusion.evidence.survival import SurvivalEvidence
from fusion.report import ReportFiles, write_report
from fusion.report.survival import time_ladder
from fusion.report.terminal import print_evidence

NAMES = ("clinical", "image", "both")


def rung(name: str, takes_away: str, values: tuple[float, ...], **rest: object) -> TimeRung:
    found = {
        n: Estimate(v, v - 0.05, v + 0.05, "repeats") for n, v in zip(NAMES, values, strict=True)
    }
    gains = {n: Estimate(values[2] - found[n].value, -0.01, 0.09, "repeats") for n in NAMES[:2]}
    plain = TimeRung(name, name, takes_away, 120, 80, 0, {}, 1826.25, found, gains)
    return dataclasses.replace(plain, **rest)  # type: ignore[arg-type]


LADDER = TimeLadder(
    "death",
    "diagnosis",
    Predictors(("age", "stage"), (), ("net",), "days_to_specimen"),
    376.0,
    5,
    3,
    (
        rung(FROM_ZERO, "", (0.64, 0.61, 0.68)),
        rung(
            CLEARED,
            "events that the specimen cannot predict",
            (0.53, 0.63, 0.62),
            n=90,
            events=50,
            left_out={NO_DAY: 2, HAD_EVENT: 28},
        ),
        TimeRung(PRIMARIES, PRIMARIES, "metastases", 9, 3, 0, {}, float("nan"), {}, {}, "3 of 9"),
    ),
)


def evidence_with(ladder: TimeLadder | None) -> SurvivalEvidence:
    study = made(n=120)
    found = collect(study.inputs(draws=20, time_ladder=ladder), predictions_of(study, repeats=1))
    assert isinstance(found, SurvivalEvidence)
    return found


@pytest.fixture(scope="module")
def evidence() -> SurvivalEvidence:
    return evidence_with(LADDER)


@pytest.fixture(scope="module")
def files(evidence: SurvivalEvidence, tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report(evidence, tmp_path_factory.mktemp("ladder"))


def test_the_chapter_has_every_rung_and_who_is_not_on_it(files: ReportFiles) -> None:
    text = files.markdown.read_text(encoding="utf-8")
    part = text.split("## Time ladder")[1].split("\n## ")[0]
    assert "Known were age, stage at time zero, and net on the day in days_to_specimen" in part
    for words in ("0.530 [0.480, 0.580]", "+0.090", "−0.010", "not climbed: 3 of 9", HAD_EVENT):
        assert words in part
    page = files.html.read_text(encoding="utf-8")
    assert '<h2 id="time-ladder">Time ladder</h2>' in page
    assert '<a href="#time-ladder">' in page


def test_the_warning_says_what_c_becomes(evidence: SurvivalEvidence) -> None:
    (found,) = [f for f in evidence.findings if "time ladder" in f.text]
    assert found.level == "warning"
    assert "clinical 0.640, 0.590 to 0.690 and 0.530, 0.480 to 0.580" in found.text
    assert "28 of 80 events came on or before its day." in found.text


def test_machines_get_unrounded_numbers(files: ReportFiles) -> None:
    folder = files.run.parent
    table = pd.read_csv(folder / "time_ladder.csv")
    assert len(table) == 2 * 5 + 1
    one = table[(table["metric"] == "uno_c") & (table["modality"] == "image")].iloc[1]
    assert (one["rung"], one["value"], one["interval"]) == (CLEARED, 0.63, "repeats")
    assert table["not_climbed"].dropna().tolist() == ["3 of 9"]
    record = json.loads(files.run.read_text(encoding="utf-8"))["time_ladder"]
    assert record["rungs"][1]["left_out"] == {NO_DAY: 2, HAD_EVENT: 28}
    assert record["rungs"][2]["until"] is None


def test_the_terminal_shows_it_in_100_columns(evidence: SurvivalEvidence) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    print_evidence(evidence, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith(FROM_ZERO) and "0.680 [0.630, 0.730]" in line for line in lines)


def test_without_a_ladder_nothing_speaks_of_one(tmp_path: Path) -> None:
    found = evidence_with(None)
    written = write_report(found, tmp_path)
    assert "ladder" not in written.markdown.read_text(encoding="utf-8")
    assert not (tmp_path / "time_ladder.csv").exists()
    assert not [f for f in found.findings if "ladder" in f.text]
    assert not time_ladder.rungs(None).rows


def test_a_ladder_of_which_nothing_was_climbed_says_why() -> None:
    empty = dataclasses.replace(LADDER, rungs=LADDER.rungs[2:])
    table = time_ladder.rungs(empty)
    assert table.rows[0][-1] == "—"
    assert "3 of 9" in time_ladder.left_out(empty).rows[0][1]
    assert not [f for f in evidence_with(empty).findings if "time ladder" in f.text]
