"""The report as one self-contained page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

import jinja2
from markupsafe import Markup

from fusion.evidence import Evidence
from fusion.report import tables
from fusion.report.figures import Figure
from fusion.report.methods import (
    DISCLAIMER,
    audit_summary,
    header_rows,
    mark,
    methods,
)


def render_html(evidence: Evidence, figures: Sequence[Figure]) -> str:
    """Returns the page; everything it needs is inside, and every text is escaped."""
    folder = files("fusion.report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((folder / "template.jinja").read_text(encoding="utf-8"))
    return template.render(
        run=evidence.run,
        reference=evidence.reference,
        header=header_rows(evidence),
        findings=evidence.findings,
        audit=tables.audit(evidence),
        audit_summary=audit_summary(evidence),
        flow=tables.flow(evidence),
        participants=tables.participants(evidence),
        ablation=tables.ablation(evidence),
        gains=tables.gains(evidence),
        per_fold=tables.per_fold(evidence),
        epochs=tables.epochs(evidence),
        secondary=tables.secondary(evidence),
        oracle=tables.oracle(evidence),
        figures={f.name: f for f in figures},
        drawings={f.name: _inline(f) for f in figures},
        methods=methods(evidence),
        mark=mark(evidence),
        ladder=tables.ladder(evidence),
        disclaimer=DISCLAIMER,
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),
        script=Markup((folder / "sort.js").read_text(encoding="utf-8")),
    )


def _inline(figure: Figure) -> Markup:
    """The drawing without XML prologue, with ids unique in the page and a spoken label."""
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    label = Markup.escape(f"{figure.title}. {figure.caption}")
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
        rf'<svg role="img" aria-label="{label}" \1 xmlns="http://www.w3.org/2000/svg" '
        r'xmlns:xlink="http://www.w3.org/1999/xlink">',
        svg,
        count=1,
    )
    return Markup(svg)
