"""Writes what compares several outcomes: a page, Markdown, CSV, JSON, and lines for a terminal."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from featurestore.plain import finite
from featurestore.tables import csv_text
from fusion.report.markdown_text import plain_text, table_lines
from fusion.report.methods import DISCLAIMER
from fusion.report.numbers import NOTHING, with_interval
from fusion.report.outcomes import (
    SeveralOutcomes,
    definitions_table,
    draw_gains,
    outcomes_table,
    tidy_outcomes,
)
from fusion.report.page import render, write_beside

TITLE = "Several outcomes, the same folds"
WIDTH = 100


def write_outcomes(several: SeveralOutcomes, folder: Path) -> Path:
    """Writes `outcomes.html`, `.md`, `.csv`, `.json` and `gains.svg`; returns the page.

    Raises:
        DataError: A file cannot be written.
    """
    figures = draw_gains(several)
    page = render(
        "outcomes.jinja",
        figures,
        title=TITLE,
        mark=several.mark,
        cautions=several.cautions,
        pages=[(outcome.name, outcome.page) for outcome in several.outcomes],
        outcomes=outcomes_table(several),
        definitions=definitions_table(several),
        disclaimer=DISCLAIMER,
    )
    texts = {
        **{f"{figure.name}.svg": figure.svg for figure in figures},
        "outcomes.csv": csv_text(tidy_outcomes(several)),
        "outcomes.json": outcomes_json(several),
        "outcomes.md": outcomes_markdown(several),
        "outcomes.html": page,
    }
    write_beside(folder, texts, "the outcomes")
    return folder / "outcomes.html"


def outcomes_markdown(several: SeveralOutcomes) -> str:
    """The same as Markdown."""
    lines = [f"# {TITLE}", ""]
    if several.mark:
        lines += [f"> **{several.mark}**", ""]
    lines += [f"- {plain_text(text)}" for text in several.cautions]
    lines += ["", *table_lines(outcomes_table(several)), ""]
    lines += table_lines(definitions_table(several))
    return "\n".join([*lines, "", DISCLAIMER, ""])


def outcomes_json(several: SeveralOutcomes) -> str:
    """The same as indented JSON; numbers that are not defined are null."""
    record = {
        "watermark": several.mark,
        "cautions": list(several.cautions),
        "outcomes": tidy_outcomes(several).to_dict("records"),
        "failed": [{"outcome": name, "reason": reason} for name, reason in several.failed],
    }
    return json.dumps(finite(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def print_outcomes(several: SeveralOutcomes, console: Console) -> None:
    """Prints how to read it, and one line an outcome, in 100 columns."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print()
    if several.mark:
        console.print(several.mark, style="bold", markup=False, highlight=False)
    for text in several.cautions:
        console.print(text, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("outcome", overflow="fold", ratio=1)
    for heading in ("n", "events", "reference", "best arm", "gain of fusion"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("audit", no_wrap=True)
    for outcome in several.outcomes:
        gain = outcome.gain
        cells = [
            f"{outcome.name} ({outcome.metric.heading})",
            str(outcome.evidence.run.n_patients),
            str(outcome.evidence.run.n_events),
            with_interval(outcome.value(outcome.reference), 2),
            with_interval(outcome.value(outcome.best), 2),
            NOTHING if gain is None else with_interval(gain.delta, 2, sign=True),
            outcome.audit,
        ]
        table.add_row(*[Text(cell) for cell in cells])
    console.print(table, highlight=False)
    for outcome in several.outcomes:
        console.print(
            f"{outcome.name}: reference {outcome.reference.arm}, best {outcome.best.arm}",
            markup=False,
            highlight=False,
        )
