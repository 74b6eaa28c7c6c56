"""The ablation table for papers, in LaTeX with booktabs."""

from __future__ import annotations

import dataclasses

from featurestore.cohort import watermark
from fusion.evidence import ArmEvidence, BinaryEvidence, Estimate, Evidence
from fusion.report.intervals import sentence
from fusion.report.kinds import rendering
from fusion.report.numbers import NOTHING, number, p_value, with_interval
from fusion.report.tables import KINDS, difference

COLUMNS = (
    "Model",
    "$n$",
    "Events",
    "AUROC [95\\,\\% CI]",
    "AUPRC [95\\,\\% CI]",
    "Brier",
    "Slope",
    "Intercept",
    "$\\Delta$AUROC [95\\,\\% CI]",
    "$p$ (Holm)",
)
PACKAGES = "% Needs \\usepackage{booktabs} and \\usepackage{graphicx}; utf8 input."
SPECIAL = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    "$": "\\$",
    "&": "\\&",
    "#": "\\#",
    "%": "\\%",
    "_": "\\_\\allowbreak{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "{''}",
    "µ": "$\\mu$",
    "°": "$^\\circ$",
    "[": "{[}",
    "]": "{]}",
    "\N{MINUS SIGN}": "$-$",
    "Δ": "$\\Delta$",
    "≥": "$\\geq$",
    "≤": "$\\leq$",
    "×": "$\\times$",
    "±": "$\\pm$",
    "–": "--",
    "—": "---",
    "\N{NO-BREAK SPACE}": "~",
}
"""What LaTeX reads as a command, or no default font has."""

UNDEFINED = Estimate(float("nan"), float("nan"), float("nan"))


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands, on one line.

    Characters beyond the letters of Latin-1 that have no command here become `?`: a missing glyph
    would be lost without a word.
    """
    return "".join(
        SPECIAL.get(c, c if " " <= c <= "~" or "\u00c0" <= c <= "\u00ff" else "?")
        for c in " ".join(text.split())
    )


@dataclasses.dataclass(frozen=True)
class Paper:
    """A table for papers.

    Attributes:
        columns: Headings, in LaTeX.
        rows: Cells of each arm, plain text.
        caption: Plain text.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


def render_latex(evidence: Evidence) -> str:
    """Returns a `table` environment; floors stand below a rule."""
    paper, run = rendering(evidence).paper(evidence), evidence.run
    mark = watermark(run.linkage, run.synthetic)
    caption = (f"\\textbf{{{escape(mark)}}} " if mark else "") + escape(paper.caption)
    lines = [PACKAGES, "\\begin{table}", "\\centering", f"\\caption{{{caption}}}"]
    lines += [f"\\label{{tab:{_label(evidence.run.name)}}}", "\\resizebox{\\linewidth}{!}{%"]
    lines += [f"\\begin{{tabular}}{{l{'r' * (len(paper.columns) - 1)}}}", "\\toprule"]
    lines += [" & ".join(paper.columns) + " \\\\", "\\midrule"]
    kind = evidence.arms[0].kind
    for arm, cells in zip(evidence.arms, paper.rows, strict=True):
        if arm.kind == "floor" != kind:
            lines.append("\\midrule")
        kind = arm.kind
        lines.append(" & ".join(map(escape, cells)) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}}", "\\end{table}", ""])


def _cells(arm: ArmEvidence) -> tuple[str, ...]:
    m = arm.metrics
    kind = KINDS[arm.kind]
    return (
        f"{arm.arm} ({kind})" if kind else arm.arm,
        str(arm.n),
        str(arm.events),
        with_interval(m.get("auroc", UNDEFINED)),
        with_interval(m.get("auprc", UNDEFINED)),
        number(m.get("brier", UNDEFINED).value),
        number(m.get("calibration_slope", UNDEFINED).value, 2),
        number(m.get("calibration_intercept", UNDEFINED).value, 2),
        difference(arm),
        p_value(arm.differences["auroc"].p_holm) if arm.differences else NOTHING,
    )


def binary_paper(evidence: BinaryEvidence) -> Paper:
    """The table of outcomes that are there or not."""
    return Paper(COLUMNS, tuple(_cells(arm) for arm in evidence.arms), _caption(evidence))


def _caption(evidence: BinaryEvidence) -> str:
    run = evidence.run
    who = run.counted.text
    return (
        f"Prediction of {run.outcome_name} ({run.outcome_definition}) in {who}, "
        f"{run.n_events} with the outcome. Pooled out-of-fold predictions; 95 % "
        f"intervals. {sentence(evidence)} "
        f"ΔAUROC against {evidence.baseline}; p adjusted by Holm."
    )


def _label(name: str) -> str:
    """Letters, digits and hyphens only: labels are no text."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
