"""Chapters of a report on times to an event, in the order of reading."""

from __future__ import annotations

import dataclasses

from fusion.evidence.spans import span
from fusion.evidence.subgroups import LEAST
from fusion.evidence.survival import SurvivalEvidence, at
from fusion.report import tables as shared
from fusion.report.shared_sections import (
    Section,
    Terms,
    explanation,
    group_losses,
    learning_curve,
    pictures,
    reference,
    subgroups,
    tuning,
)
from fusion.report.survival import tables, time_ladder
from fusion.report.survival.ablation import arms, every_metric
from fusion.report.survival.figures import calibration_name, decision_name
from fusion.report.survival.tables import HEADLINE
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
    shown = (time_ladder.rungs, time_ladder.gains, time_ladder.left_out)
    climbed = tuple(table(e.time_ladder) for table in shown)
    made = [
        Chapter("time-ladder", "Time ladder", climbed),
        Chapter("follow-up", "Follow-up", (tables.follow_up(e), tables.by_horizon(e))),
        Chapter(
            "ablation",
            "Ablation",
            (arms(e), tables.brier_differences(e)),
            (),
            (Folded("More of every arm", every_metric(e)),),
        ),
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


def terms(e: SurvivalEvidence) -> Terms:
    """What is called how; subgroups are looked at by the last supported horizon."""
    until = e.follow_up.until
    parts = [(HEADLINE, "C")]
    if e.horizons:
        parts.append((at("brier", until), f"Brier, {span(until)}"))
        parts.append((at("observed_over_expected", until), f"O/E, {span(until)}"))
    return Terms(
        metric="C",
        error="integrated Brier",
        unit="log hazard",
        ratio="hazard ratio",
        regression="Cox regression",
        of_column="Harrell's C",
        parts=tuple(parts),
        parts_note=f"no number where fewer than {LEAST} {{patients}} have the event by "
        f"{span(until)}, or fewer than {LEAST} are known to be free of it then. Above 1 observed "
        "over expected says that risk is underestimated.",
    )


def sections(e: SurvivalEvidence) -> list[Section]:
    """What follows the chapters, as for all kinds."""
    every = (group_losses, learning_curve, reference, subgroups, explanation, pictures, tuning)
    made = [section(e, terms(e)) for section in every]
    return [section for section in made if any(table.rows for table in section.tables)]
