"""The table for papers: every number, no character that LaTeX would take for a command."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from evidence_example import example
from hypothesis import given
from hypothesis import strategies as st

from fusion.report.latex import COLUMNS, escape, render_latex

DOCUMENT = """\\documentclass{{article}}
\\usepackage[utf8]{{inputenc}}
\\usepackage{{booktabs,graphicx}}
\\begin{{document}}
{0}
\\end{{document}}
"""
HOSTILE = 'a_b & 50% $x$ #1 {y} ~^\\ <ü> "q" | [0] \\input{/etc/passwd} – Δ≥µ° 漢 \x07'


def test_every_arm_has_a_row_of_all_columns() -> None:
    text = render_latex(example())
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert len(rows) == 1 + len(example().arms)
    assert all(len(re.split(r"(?<!\\)&", row)) == len(COLUMNS) for row in rows)
    assert text.count("\\midrule") == 2  # below the headings, and above the floors
    assert "0.840 {[}0.800, 0.880{]}" in text
    assert "---" in rows[-1]


def test_the_caption_carries_the_watermark() -> None:
    assert "\\textbf{SYNTHETIC DATA" in render_latex(example())
    base = example()
    run = dataclasses.replace(base.run, linkage="label_matched", synthetic=False)
    assert "\\textbf{LABEL-MATCHED" in render_latex(dataclasses.replace(base, run=run))
    run = dataclasses.replace(base.run, synthetic=False)
    assert "\\textbf" not in render_latex(dataclasses.replace(base, run=run))


@given(st.text())
def test_escaped_text_has_no_command_of_its_own(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    rest = re.sub(
        r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|allowbreak)"
        r"\{\}|\\[{}$&#%_]|\{\[\}|\{\]\}|\{''\}|\$(?:-|\\[A-Za-z]+|\^\\circ)\$|~",
        "",
        escaped,
    )
    assert not set(rest) & set('\\{}$&#%_^~<>|"')


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on the PATH")
@pytest.mark.parametrize("name", ["demo", HOSTILE])
def test_it_compiles(name: str, tmp_path: Path) -> None:
    base = example(name=name)
    run = dataclasses.replace(base.run, outcome_definition=name, outcome_name=name)
    arms = tuple(dataclasses.replace(a, arm=f"{name}{a.arm}") for a in base.arms)
    evidence = dataclasses.replace(base, run=run, arms=arms, baseline=f"{name}{base.baseline}")
    (tmp_path / "t.tex").write_text(DOCUMENT.format(render_latex(evidence)), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
