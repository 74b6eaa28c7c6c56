"""The report as Markdown, for repositories and supplements."""

from __future__ import annotations

from fusion.evidence import Evidence
from fusion.report import tables
from fusion.report.markdown_text import plain_text, table_lines
from fusion.report.methods import DISCLAIMER, audit_summary, header_rows, mark, methods
from fusion.report.model_card import card_lines
from fusion.report.sections import sections
from fusion.report.tripod import tripod


def render_markdown(evidence: Evidence) -> str:
    """Returns the whole report as Markdown."""
    run = evidence.run
    lines = [f"# {plain_text(run.name)}: {plain_text(run.outcome_name)}", ""]
    if mark(evidence):
        lines += [f"> **{mark(evidence)}**", ""]
    lines += [f"- **{name}:** {plain_text(value)}" for name, value in header_rows(evidence)]
    lines += ["", "## Warnings", ""]
    lines += [f"- **{f.level}:** {plain_text(f.text)}" for f in evidence.findings] or ["None."]
    if evidence.audit is not None:
        lines += [
            "",
            "## Audit",
            "",
            audit_summary(evidence),
            "",
            *table_lines(tables.audit(evidence)),
        ]
    if evidence.ladder is not None:
        lines += ["", "## Linkage ladder", "", *table_lines(tables.ladder(evidence))]
    for heading, table in (
        ("Participant flow", tables.flow(evidence)),
        ("Modalities", tables.available(evidence)),
        ("Patients", tables.participants(evidence)),
    ):
        lines += ["", f"## {heading}", "", *table_lines(table)]
    lines += ["", "## Licences", "", *(f"- {plain_text(line)}" for line in run.licences)]
    for heading, table in (
        ("Ablation", tables.ablation(evidence)),
        ("What fusion adds", tables.gains(evidence)),
        ("Folds", tables.per_fold(evidence)),
        *([("Fine-tuning", tables.epochs(evidence))] if len(evidence.encoder_history) else []),
    ):
        lines += ["", f"## {heading}", "", *table_lines(table)]
    for section in sections(evidence):
        lines += ["", f"## {section.title}"]
        for table in section.tables:
            lines += ["", *table_lines(table)] if table.rows else []
    best = tables.oracle(evidence)
    if best is not None:
        lines += ["", f"Oracle AUROC (planted model): {best}."]
    lines += ["", "## Methods", "", *(f"- {plain_text(line)}" for line in methods(evidence))]
    lines += ["", "## Model card", "", *card_lines(evidence, level=3)]
    lines += ["## TRIPOD+AI", "", *table_lines(tripod(evidence))]
    return "\n".join([*lines, "", DISCLAIMER, ""])
