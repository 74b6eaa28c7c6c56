"""The report as Markdown, for repositories and supplements."""

from __future__ import annotations

from fusion.evidence import Evidence
from fusion.report import tables
from fusion.report.methods import (
    DISCLAIMER,
    audit_summary,
    header_rows,
    mark,
    methods,
)
from fusion.report.sections import sections
from fusion.report.tables import TextTable


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
        ("Patients", tables.participants(evidence)),
        ("Ablation", tables.ablation(evidence)),
        ("What fusion adds", tables.gains(evidence)),
        ("Folds", tables.per_fold(evidence)),
        ("DeLong", tables.secondary(evidence)),
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
    lines += ["", "## Licences", "", *(f"- {plain_text(line)}" for line in run.licences)]
    return "\n".join([*lines, "", DISCLAIMER, ""])


def table_lines(table: TextTable) -> list[str]:
    """A caption and the lines of a table."""
    if not table.rows:
        return ["None."]
    aligned = ["---" if k < table.text_columns else "---:" for k in range(len(table.columns))]
    rows = [table.columns, tuple(aligned), *table.rows]
    return [
        plain_text(table.caption),
        "",
        *("| " + " | ".join(map(_cell, row)) + " |" for row in rows),
    ]


def _cell(text: str) -> str:
    return plain_text(text).replace("|", "\\|")


def plain_text(text: str) -> str:
    """One line without markup of its own."""
    return " ".join(text.split()).replace("<", "&lt;")
