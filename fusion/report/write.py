"""Writes all files of a report."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from featurestore.atomic import replacing, write_text
from featurestore.errors import DataError
from featurestore.tables import csv_text
from fusion.evidence import Evidence
from fusion.report.gallery import galleries, tidy_galleries
from fusion.report.html import render_html
from fusion.report.json import render_json
from fusion.report.kinds import rendering
from fusion.report.latex import render_latex
from fusion.report.markdown import render_markdown
from fusion.report.model_card import model_card_markdown
from fusion.report.tables import tidy_audit
from fusion.report.tripod import tidy_tripod


@dataclasses.dataclass(frozen=True)
class ReportFiles:
    """Paths of what was written."""

    html: Path
    markdown: Path
    metrics: Path
    run: Path
    figures: tuple[Path, ...]


def write_report(evidence: Evidence, folder: Path) -> ReportFiles:
    """Writes the page, Markdown, tables for machines and papers, model card and `figures/`.

    These are `report.html`, `report.md`, `metrics.csv`, `run.json`, `ablation.tex`,
    `model_card.md` and `tripod.csv`, and tables of the kind of endpoint (a linkage ladder as
    `ladder.csv`). With an audit also `audit.csv`. Every figure is also a file of its own, with its
    data beside it.

    Raises:
        DataError: A file cannot be written.
    """
    kind = rendering(evidence)
    figures = kind.figures(evidence)
    files = ReportFiles(
        html=folder / "report.html",
        markdown=folder / "report.md",
        metrics=folder / "metrics.csv",
        run=folder / "run.json",
        figures=tuple(folder / "figures" / f"{f.name}.svg" for f in figures),
    )
    try:
        for figure, path in zip(figures, files.figures, strict=True):
            write_text(path, figure.svg)
            write_text(path.with_suffix(".csv"), csv_text(figure.data))
        _write_galleries(evidence, folder / "figures")
        for name, table in kind.tidy(evidence).items():
            write_text(folder / name, csv_text(table))
        if evidence.audit is not None:
            write_text(folder / "audit.csv", csv_text(tidy_audit(evidence)))
        write_text(folder / "tripod.csv", csv_text(tidy_tripod(evidence)))
        write_text(folder / "ablation.tex", render_latex(evidence))
        write_text(folder / "model_card.md", model_card_markdown(evidence))
        write_text(files.run, render_json(evidence))
        write_text(files.markdown, render_markdown(evidence))
        write_text(files.html, render_html(evidence, figures))
    except OSError as error:
        raise DataError(
            f"cannot write the report into {folder}: {error.strerror or error}"
        ) from None
    return files


def _write_galleries(evidence: Evidence, folder: Path) -> None:
    for earlier in folder.glob("gradcam*"):
        earlier.unlink()
    for gallery in galleries(evidence):
        for picture in gallery.pictures:
            with replacing(folder / picture.file) as temporary:
                temporary.write_bytes(picture.png)
    if evidence.overlays:
        write_text(folder / "gradcam.csv", csv_text(tidy_galleries(evidence)))
