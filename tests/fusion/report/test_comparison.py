"""Runs side by side: every arm of every run, and a plain word on what may be compared."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
from evidence_example import example

from fusion.evidence import FinishedRun
from fusion.report.comparison import arms_table, compare, draw_forest, tidy_comparison
from fusion.report.comparison_page import comparison_markdown, write_comparison
from fusion.report.numbers import with_interval


def run(name: str = "demo", patients: str = "a" * 64, folds: str = "b" * 64) -> FinishedRun:
    return FinishedRun(example(name), patients, folds)


def with_facts(base: FinishedRun, **changes: object) -> FinishedRun:
    facts = dataclasses.replace(base.evidence.run, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(base, evidence=dataclasses.replace(base.evidence, run=facts))


def test_every_arm_of_every_run_has_a_line(tmp_path: Path) -> None:
    fewer = dataclasses.replace(run("small"), evidence=example("small", single=True))
    comparison = compare([run("full"), fewer], ["x", "y"])
    n = len(example().arms)
    assert len(arms_table(comparison).rows) == n + 1
    table = tidy_comparison(comparison)
    assert table.groupby("run").size().to_dict() == {"full": n, "small": 1}
    reference = table[table["arm"] == "fusion_head[all]"]
    assert list(reference["run"]) == ["full", "small"]
    shown = with_interval(example().arms[0].metrics["auroc"])
    page = write_comparison(comparison, tmp_path)
    for text in (page.read_text(encoding="utf-8"), comparison_markdown(comparison)):
        assert shown in text
        assert "SYNTHETIC DATA" in text
    found = pd.read_csv(tmp_path / "comparison.csv", dtype={"also": "str"})
    written = found.fillna({"modalities": "", "watermark": "", "also": ""})
    pd.testing.assert_frame_equal(written, table)
    record = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert len(record["arms"]) == n + 1


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (run(), "same patients, outcome and folds"),
        (run(patients="c" * 64), "different patients: differences between them are not paired"),
        (run(folds="c" * 64), "different folds: "),
        (with_facts(run(), outcome_name="recurrence"), "different outcomes: "),
        (with_facts(run(), outcome_definition="Another."), "different outcomes: "),
        (
            with_facts(run(patients="c" * 64), linkage="label_matched"),
            "different linkage of images and clinical rows and patients: ",
        ),
    ],
)
def test_what_the_runs_do_not_share_is_said(other: FinishedRun, said: str) -> None:
    (caveat,) = compare([run(), other], ["x", "y"]).caveats
    assert said in caveat


def test_runs_of_one_name_are_told_apart() -> None:
    found = compare([run(), run(), run(), run("other")], ["x", "y", "y", "z"])
    labels = [r.label for r in found.runs]
    assert labels == ["demo (x)", "demo (y) #1", "demo (y) #2", "other"]


def test_the_forest_holds_all_runs_but_no_floor() -> None:
    comparison = compare([run(str(k)) for k in range(9)], [str(k) for k in range(9)])
    forest = draw_forest(comparison)
    assert forest.data["run"].nunique() == 9
    assert not forest.data["arm"].isin(["prevalence", "permuted_labels"]).any()
    assert forest == dataclasses.replace(draw_forest(comparison), data=forest.data)


def test_names_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    comparison = compare([run(hostile), run("b|c")], ["x", "y"])
    page = write_comparison(comparison, tmp_path)
    assert page.read_text(encoding="utf-8").count("<script>") == 1
    markdown = comparison_markdown(comparison)
    assert "<script>" not in markdown
    assert "b\\|c" in markdown
