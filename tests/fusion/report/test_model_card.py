"""The model card says what the model is for, how good it is, and where it ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from evidence_example import everything, example

from fusion.evidence import Finding
from fusion.report import write_report
from fusion.report.model_card import model_card, model_card_markdown
from fusion.report.numbers import with_interval

TITLES = ["Model", "Intended use", "Data", "Outcome", "Performance", "Calibration", "Limitations",
          "Ethics", "Versions"]  # fmt: skip


def test_all_sections_are_there_and_filled() -> None:
    sections = model_card(example())
    assert [section.title for section in sections] == TITLES
    assert all(section.lines for section in sections)


def test_performance_is_that_of_the_baseline_beside_the_floors() -> None:
    (table,) = [s.table for s in model_card(example()) if s.table is not None]
    assert [row[0] for row in table.rows] == [
        "fusion_head[all]", "clinical_reference[clinical]", "permuted_labels", "prevalence"
    ]  # fmt: skip
    arm = next(a for a in example().arms if a.arm == "fusion_head[all]")
    assert table.rows[0][3] == with_interval(arm.metrics["auroc"])


def test_caveats_and_findings_are_its_limitations() -> None:
    base = example()
    evidence = dataclasses.replace(
        base,
        used=dataclasses.replace(base.used, withheld=("status", "days")),
        findings=(Finding("invalidates", "A grave thing."), Finding("note", "A small thing.")),
    )
    text = model_card_markdown(evidence)
    assert "invalidates: A grave thing." in text
    assert "A small thing." not in text
    assert "Made up." in text
    assert "or become known later: status, days." in text
    assert "SYNTHETIC DATA" in text
    assert "Not a medical device" in text


def test_it_is_a_file_of_its_own_and_a_part_of_the_report(tmp_path: Path) -> None:
    files = write_report(example(), tmp_path)
    assert (tmp_path / "model_card.md").read_text(encoding="utf-8").startswith("# Model card: demo")
    assert "### Intended use" in files.markdown.read_text(encoding="utf-8")
    assert ">Intended use</h3>" in files.html.read_text(encoding="utf-8")


def test_subgroups_with_numbers_are_spanned_and_others_are_not() -> None:
    text = model_card_markdown(everything())
    assert "AUROC by subgroup from 0.650 (Sex: Male) to 0.750 (Sex: Female)" in text
    assert "by subgroup" not in model_card_markdown(example())
