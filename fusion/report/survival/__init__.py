"""Reports on times to an event: what they have that other kinds have not."""

from __future__ import annotations

from typing import Any

from fusion.evidence.survival import SurvivalEvidence
from fusion.report.explore import by_column
from fusion.report.kinds import Rendering
from fusion.report.survival import chapters, machines, tables, words
from fusion.report.survival.card import CARD
from fusion.report.survival.figures import draw_all
from fusion.report.survival.tripod import ANSWERS
from fusion.report.tables import TextTable


def _values(e: SurvivalEvidence) -> dict[str, Any]:
    return {"chapters": chapters.chapters(e)}


def _asked(e: SurvivalEvidence) -> dict[str, Any]:
    """Every arm at every horizon."""
    found: dict[str, dict[str, list[list[str]]]] = {}
    for table in (tables.at_horizons(e), tables.calibration(e), tables.net_benefit(e)):
        for horizon, own in by_column(table, 1).items():
            for arm, values in own.items():
                found.setdefault(horizon, {}).setdefault(arm, []).extend(values)
    return {"horizons": found}


def _ladder(e: SurvivalEvidence) -> TextTable:
    """None: a time ladder is a chapter of its own."""
    return TextTable("", (), ())


TIMES = Rendering(
    template="survival/report.jinja",
    values=_values,
    figures=draw_all,
    ladder=_ladder,
    chapters=chapters.in_order,
    sections=chapters.sections,
    patients=words.patients,
    summary=words.summary,
    best=words.best,
    methods=words.methods,
    record=machines.record,
    tidy=tables.tidy,
    paper=machines.paper,
    card=CARD,
    answers=ANSWERS,
    tables=machines.terminal_tables,
    interval_note=words.interval_note,
    asked=_asked,
    compared=machines.compared,
)
"""How such evidence is rendered."""
