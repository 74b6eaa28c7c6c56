"""The report as Markdown, for repositories and supplements."""

from __future__ import annotations

from fusion.evidence import Evidence
from fusion.report import tables
from fusion.report.answer import answer
from fusion.report.kinds import rendering
from fusion.report.markdown_text import plain_text, table_lines
from fusion.report.methods import (
    DISCLAIMER,
    audit_summary,
    mark,
    provenance_rows,
    study_rows,
)
from fusion.report.model_card import card_lines
from fusion.report.tripod import tripod


def render_markdown(evidence: Evidence) -> str:
    """Returns the whole report as Markdown."""
    run, kind = evidence.run, rendering(evidence)
    lines = [f"# {plain_text(run.name)}: {plain_text(run.outcome_name)}", ""]
    if mark(evidence):
        lines += [f"> **{mark(evidence)}**", ""]
    found = answer(evidence)
    lines += [f"**{plain_text(found.sentence)}**", ""]
    lines += [f"- **{name}:** {plain_text(value)}" for name, value in found.rows]
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
    if kind.ladder(evidence).rows:
        lines += ["", "## Linkage ladder", "", *table_lines(kind.ladder(evidence))]
    lines += ["", "## Study", ""]
    lines += [f"- **{name}:** {plain_text(value)}" for name, value in study_rows(evidence)]
    for heading, table in (
        ("Participant flow", tables.flow(evidence)),
        ("Modalities", tables.available(evidence)),
        (evidence.noun.many.capitalize(), tables.participants(evidence)),
    ):
        lines += ["", f"## {heading}", "", *table_lines(table)]
    lines += ["", "## Licences", "", *(f"- {plain_text(line)}" for line in run.licences)]
    for heading, shown in (
        *kind.chapters(evidence),
        *([("Fine-tuning", [tables.epochs(evidence)])] if len(evidence.encoder_history) else []),
    ):
        lines += ["", f"## {heading}"]
        for table in shown:
            lines += ["", *table_lines(table)]
    for section in kind.sections(evidence):
        lines += ["", f"## {section.title}"]
        for table in section.tables:
            lines += ["", *table_lines(table)] if table.rows else []
    best = kind.best(evidence)
    if best is not None:
        lines += ["", f"{best[0]} (planted model): {best[1]}."]
    lines += ["", "## Methods", "", *(f"- {plain_text(line)}" for line in kind.methods(evidence))]
    lines += ["", "## Model card", "", *card_lines(evidence, level=3)]
    lines += ["## TRIPOD+AI", "", *table_lines(tripod(evidence))]
    lines += ["", "## About this run", ""]
    lines += [f"- **{name}:** {plain_text(value)}" for name, value in provenance_rows(evidence)]
    return "\n".join([*lines, "", DISCLAIMER, ""])
