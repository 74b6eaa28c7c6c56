"""Writes a comparison of runs: a page, Markdown, CSV, JSON and its figure."""

from __future__ import annotations

import json
from pathlib import Path

from featurestore.plain import finite, plain
from featurestore.tables import csv_text
from fusion.report.comparison import (
    Comparison,
    arms_table,
    comparison_mark,
    draw_forest,
    paired_table,
    runs_table,
    settings_table,
    tidy_comparison,
)
from fusion.report.markdown_text import plain_text, table_lines
from fusion.report.methods import DISCLAIMER
from fusion.report.page import render, write_beside

TITLE = "Runs side by side"


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Writes `comparison.html`, `.md`, `.csv`, `.json` and `forest.svg`; returns the page.

    Raises:
        DataError: A file cannot be written.
    """
    forest = draw_forest(comparison)
    page = render(
        "comparison.jinja",
        [forest],
        title=TITLE,
        mark=comparison_mark(comparison),
        caveats=comparison.caveats,
        runs=runs_table(comparison),
        settings=settings_table(comparison),
        paired=paired_table(comparison),
        arms=arms_table(comparison),
        disclaimer=DISCLAIMER,
    )
    table = csv_text(tidy_comparison(comparison))
    texts = {
        "forest.svg": forest.svg,
        "comparison.csv": table,
        "comparison.json": comparison_json(comparison),
        "comparison.md": comparison_markdown(comparison),
        "comparison.html": page,
    }
    write_beside(folder, texts, "the comparison")
    return folder / "comparison.html"


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    lines = [f"# {TITLE}", ""]
    if comparison_mark(comparison):
        lines += [f"> **{comparison_mark(comparison)}**", ""]
    lines += [f"- {plain_text(text)}" for text in comparison.caveats]
    lines += ["", "## Runs", "", *table_lines(runs_table(comparison))]
    settings, paired = settings_table(comparison), paired_table(comparison)
    if settings is not None:
        lines += ["", "## Settings", "", *table_lines(settings)]
    lines += ["", "## Arms", "", *table_lines(arms_table(comparison))]
    if paired is not None:
        lines += ["", "## Paired differences", "", *table_lines(paired)]
    return "\n".join([*lines, "", DISCLAIMER, ""])


def comparison_json(comparison: Comparison) -> str:
    """The comparison as indented JSON; numbers that are not defined are null."""
    record = {
        "watermark": comparison_mark(comparison),
        "caveats": list(comparison.caveats),
        "settings": {name: list(texts) for name, texts in comparison.settings.items()},
        "paired": plain(comparison.paired),
        "arms": tidy_comparison(comparison).to_dict("records"),
    }
    return json.dumps(finite(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
