"""Every form of a report says which interval each AUROC has, and what its coverage is."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from claims_example import images_and_columns, table_alone
from evidence_example import estimate, everything, example
from rich.console import Console

from featurestore.units import NOUNS
from fusion.evidence import Evidence
from fusion.evidence.intervals import KINDS as OF_ANY_UNIT
from fusion.evidence.intervals import interval_facts
from fusion.report import write_report
from fusion.report.interval_tables import by_arm, kinds
from fusion.report.intervals import coverage, headline, sentence_of
from fusion.report.terminal import print_evidence

KINDS = {method: facts.worded(NOUNS["patient"]) for method, facts in OF_ANY_UNIT.items()}


def _said(folder: Path, evidence: Evidence) -> dict[str, str]:
    """Everything that was written for people, without markup and in one line."""
    files = write_report(evidence, folder)
    console = Console(width=100, record=True, file=(folder / "terminal").open("w"))
    print_evidence(evidence, console)
    page = re.sub(r"<[^>]+>", " ", files.html.read_text(encoding="utf-8"))
    texts = {
        "page": html.unescape(page),
        "markdown": files.markdown.read_text(encoding="utf-8"),
        "latex": (folder / "ablation.tex").read_text(encoding="utf-8"),
        "card": (folder / "model_card.md").read_text(encoding="utf-8"),
        "tripod": (folder / "tripod.csv").read_text(encoding="utf-8"),
        "terminal": console.export_text(),
    }
    plain = {"\\%": "%", "\\_\\allowbreak{}": "_", "{[}": "[", "{]}": "]", "--": "–"}
    for before, after in plain.items():
        texts["latex"] = texts["latex"].replace(before, after)
    return {name: " ".join(text.split()) for name, text in texts.items()}


@pytest.mark.parametrize("methods", [("repeats", "percentile"), ("bound", "exact")])
def test_every_form_names_the_intervals_and_their_coverage(
    tmp_path: Path, methods: tuple[str, str]
) -> None:
    base = everything()
    arms = tuple(
        dataclasses.replace(
            arm, metrics=arm.metrics | {"auroc": estimate(0.7, 0.05, methods[arm.kind == "floor"])}
        )
        for arm in base.arms
    )
    facts = interval_facts(arm.metrics["auroc"] for arm in arms)
    said = _said(tmp_path, dataclasses.replace(base, arms=arms, intervals=facts))
    real, floor = (KINDS[method] for method in methods)
    assert real.arm_coverage is not None
    for name, text in said.items():
        assert f"{real.name} (simulated coverage {coverage(real.arm_coverage)})" in text, name
        assert f"permuted_labels, prevalence: {floor.name}" in text, name
    for name in ("page", "markdown"):
        assert real.text in said[name]
        assert real.simulated in said[name]
        assert headline() in said[name]


def test_every_arm_has_its_interval_in_tables_for_machines(tmp_path: Path) -> None:
    evidence = everything()
    files = write_report(evidence, tmp_path)
    areas = pd.read_csv(files.metrics).query("metric == 'auroc'").set_index("arm")["interval"]
    assert areas.to_dict() == {a.arm: a.metrics["auroc"].method for a in evidence.arms}
    record = json.loads(files.run.read_text(encoding="utf-8"))
    assert [one["method"] for one in record["intervals"]] == ["repeats", "percentile"]
    assert record["intervals"][0]["arm_coverage"] == list(KINDS["repeats"].arm_coverage or ())
    assert all(arm["metrics"]["auroc"]["method"] for arm in record["arms"])
    assert set(pd.read_csv(tmp_path / "ladder.csv")["interval"]) == {"bound"}
    before = files.markdown.read_text(encoding="utf-8").partition("## Ablation")[0]
    assert KINDS["bound"].name in before


def test_one_line_an_arm_with_both_areas() -> None:
    evidence = example()
    rows = {row[0]: row for row in by_arm(evidence).rows}
    assert len(rows) == len(evidence.arms)
    assert rows["fusion_head[all]"] == (
        "fusion_head[all]",
        "bootstrap of patients, widened for training",
        coverage(KINDS["repeats"].arm_coverage),
        "0.840 [0.800, 0.880]",
        "0.844 [0.804, 0.884]",
        "0.840 [0.810, 0.870]",
    )
    assert rows["permuted_labels"][1] == "bootstrap of patients"
    assert rows["permuted_labels"][5] == "—"
    assert [row[0] for row in kinds(evidence.intervals).rows] == [
        KINDS["repeats"].name, KINDS["percentile"].name
    ]  # fmt: skip


def test_coverage_is_two_shares_or_none() -> None:
    assert coverage((0.93, 0.9875)) == "93.0–98.8 %"
    assert coverage(None) == "not simulated"


def test_an_interval_that_nobody_named_is_not_given_a_name() -> None:
    nobody = {"auroc": estimate(0.7, 0.05, "")}
    found = example()
    nameless = [dataclasses.replace(arm, metrics=nobody) for arm in found.arms]
    assert sentence_of(nameless, dataclasses.replace(found, bootstrap_draws=2000)) == (
        "Intervals: 2,000 draws of a bootstrap over patients, shared by all arms."
    )


def test_lesions_are_drawn_where_no_patient_is_known() -> None:
    found = example()
    n = found.run.n_patients
    for nameless, drawn in ((n, "lesions"), (n - 1, "patients")):
        run = dataclasses.replace(
            found.run, observed="lesion", n_persons=n - nameless, n_nameless=nameless
        )
        lesions = dataclasses.replace(found, run=run)
        text = sentence_of(lesions.arms, lesions)
        assert f"bootstrap of {drawn}, widened" in text
        kinds_of_it = {row[1] for row in by_arm(lesions).rows}
        assert any(f"bootstrap of {drawn}" in kind for kind in kinds_of_it)
        assert "{" not in text
        assert not any("{" in kind for kind in kinds_of_it)


def test_what_is_said_is_true_of_the_run() -> None:
    """One repeat of the cross-validation or two, and the floor whose outcomes are exchanged."""
    for made in (images_and_columns(), table_alone()):
        repeats = made.config.folds.repeats
        expected = KINDS["repeats" if repeats > 1 else "bound"].name
        found = made.evidence
        for row in by_arm(found).rows:
            model = next(a.model for a in found.arms if a.arm == row[0])
            name = KINDS["percentile"].name if model == "permuted_labels" else expected
            assert row[1] == name
        named = {facts.method for facts in found.intervals}
        assert {"repeats" if repeats > 1 else "bound", "percentile"} <= named
        areas = found.per_fold.groupby(["arm", "repeat"])["auroc"].mean().groupby("arm").mean()
        for arm in found.arms:
            assert arm.fold_averaged is not None
            assert arm.fold_averaged.value == pytest.approx(areas[arm.arm])
            assert np.isfinite(arm.metrics["auroc"].low)
