"""Chapters of a report on times to an event, in the order of reading."""

from __future__ import annotations

import dataclasses

from fusion.evidence.survival import SurvivalEvidence
from fusion.report import tables as shared
from fusion.report.sections import Section, explanation, pictures, tuning
from fusion.report.survival import tables
from fusion.report.survival.figures import calibration_name, decision_name
from fusion.report.tables import TextTable


@dataclasses.dataclass(frozen=True)
class Folded:
    """A long table that opens when it is asked for."""

    summary: str
    table: TextTable


@dataclasses.dataclass(frozen=True)
class Chapter:
    """One chapter; see `sections.Section`.

    Attributes:
        anchor: Its id in the page.
        title: Heading.
        tables: Each with a caption of its own.
        figures: Names of figures.
        folded: Tables behind a line that opens them.
    """

    anchor: str
    title: str
    tables: tuple[TextTable, ...]
    figures: tuple[str, ...] = ()
    folded: tuple[Folded, ...] = ()


def chapters(e: SurvivalEvidence) -> list[Chapter]:
    """All chapters that have a row or a figure to show."""
    epochs = shared.epochs(e)
    made = [
        Chapter("follow-up", "Follow-up", (tables.follow_up(e), tables.by_horizon(e))),
        Chapter("ablation", "Ablation", (tables.arms(e), tables.brier_differences(e))),
        Chapter("fusion", "Fusion", (tables.gains(e),), ("fusion_gain", "delta_c")),
        Chapter("groups", "Risk groups", (tables.risk_groups(e),), ("risk_groups",)),
        Chapter(
            "horizons",
            "Over time",
            (),
            ("auc_over_time", "brier_over_time"),
            (Folded("AUC and Brier score at each horizon", tables.at_horizons(e)),),
        ),
        Chapter(
            "calibration",
            "Calibration",
            (),
            tuple(map(calibration_name, e.horizons)),
            (Folded("Calibration of every arm", tables.calibration(e)),),
        ),
        Chapter(
            "decisions",
            "Decisions",
            (),
            tuple(map(decision_name, e.horizons)),
            (Folded("Net benefit of every arm", tables.net_benefit(e)),),
        ),
        Chapter(
            "folds",
            "Folds",
            (tables.concordances(e),),
            ("folds",),
            (Folded("Every fold in numbers", tables.per_fold(e)),),
        ),
        Chapter(
            "training",
            "Training",
            (),
            ("training", "fine_tuning") if len(e.history) or epochs.rows else (),
            (Folded("Every epoch of fine-tuning", epochs),) if epochs.rows else (),
        ),
    ]
    return [
        dataclasses.replace(c, folded=tuple(f for f in c.folded if f.table.rows))
        for c in made
        if c.figures or any(t.rows for t in (*c.tables, *(f.table for f in c.folded)))
    ]


def in_order(e: SurvivalEvidence) -> list[tuple[str, list[TextTable]]]:
    """Headings and tables for Markdown; of training the shared part of the report tells."""
    every = [
        (c.title, [t for t in (*c.tables, *(f.table for f in c.folded)) if t.rows])
        for c in chapters(e)
        if c.anchor != "training"
    ]
    return [(title, found) for title, found in every if found]


def sections(e: SurvivalEvidence) -> list[Section]:
    """What follows the chapters, as for all kinds."""
    made = [explanation(e, "C", "log hazard"), pictures(e), tuning(e, "C")]
    return [section for section in made if any(table.rows for table in section.tables)]
