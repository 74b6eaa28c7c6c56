"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence

from fusion.evidence import Evidence
from fusion.report import tables
from fusion.report.answer import answer
from fusion.report.drawing import Figure
from fusion.report.explore import embedded, explore
from fusion.report.kinds import rendering
from fusion.report.methods import (
    DISCLAIMER,
    audit_summary,
    mark,
    provenance_rows,
    study_rows,
)
from fusion.report.model_card import model_card
from fusion.report.page import render
from fusion.report.tripod import tripod, tripod_summary


def render_html(evidence: Evidence, figures: Sequence[Figure]) -> str:
    """Returns the page; everything it needs is inside, and every text is escaped."""
    kind = rendering(evidence)
    sections = kind.sections(evidence)
    asked = explore(evidence, sections)
    return render(
        kind.template,
        figures,
        scripts=("explore.js",),
        run=evidence.run,
        answer=answer(evidence),
        study=study_rows(evidence),
        provenance=provenance_rows(evidence),
        warnings=[f for f in evidence.findings if f.level != "note"],
        notes=[f for f in evidence.findings if f.level == "note"],
        audit=tables.audit(evidence),
        audit_summary=audit_summary(evidence),
        flow=tables.flow(evidence),
        available=tables.available(evidence),
        participants=tables.participants(evidence),
        epochs=tables.epochs(evidence),
        methods=kind.methods(evidence),
        mark=mark(evidence),
        ladder=kind.ladder(evidence),
        sections=sections,
        asked=asked,
        data=embedded(asked),
        card=model_card(evidence),
        tripod=tripod(evidence),
        tripod_summary=tripod_summary(evidence),
        disclaimer=DISCLAIMER,
        **kind.values(evidence),
    )
