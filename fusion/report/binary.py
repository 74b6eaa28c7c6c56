"""Reports on outcomes that are there or not: what they have that other kinds have not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fusion.evidence import BinaryEvidence
from fusion.report import tables
from fusion.report.ablation import ablation, every_metric
from fusion.report.drawing import Figure
from fusion.report.explore import THRESHOLDS_NOTE, thresholds
from fusion.report.figures import draw_all
from fusion.report.figures_sections import draw_sections
from fusion.report.intervals import sentence
from fusion.report.json import binary_record
from fusion.report.kinds import Compared, Rendering
from fusion.report.latex import binary_paper
from fusion.report.methods import methods
from fusion.report.model_card import BINARY_CARD
from fusion.report.sections import TERMS, sections
from fusion.report.terminal import binary_summary, binary_tables
from fusion.report.tripod import ANSWERS

COMPARED = (
    Compared("auroc", "AUROC", on_page=True, in_terminal=True),
    Compared("auprc", "AUPRC", on_page=True, in_terminal=False),
    Compared("brier", "Brier", on_page=False, in_terminal=False),
)


def _values(evidence: BinaryEvidence) -> dict[str, Any]:
    return {
        "ablation": ablation(evidence),
        "every_metric": every_metric(evidence),
        "gains": tables.gains(evidence),
        "per_fold": tables.per_fold(evidence),
        "oracle": tables.oracle(evidence),
        "threshold_rule": evidence.threshold_rule,
    }


def _figures(evidence: BinaryEvidence) -> list[Figure]:
    return [*draw_all(evidence), *draw_sections(evidence, TERMS.metric)]


def _chapters(evidence: BinaryEvidence) -> list[tuple[str, list[tables.TextTable]]]:
    return [
        ("Ablation", [ablation(evidence), every_metric(evidence)]),
        ("What fusion adds", [tables.gains(evidence)]),
        ("Folds", [tables.per_fold(evidence)]),
    ]


def _patients(evidence: BinaryEvidence) -> str:
    run = evidence.run
    who = f"{run.n_patients:,}" if run.observed == "patient" else run.counted.text
    return f"{who}, {run.n_events:,} with the outcome ({run.prevalence:.1%})"


def _best(evidence: BinaryEvidence) -> tuple[str, str] | None:
    best = tables.oracle(evidence)
    return None if best is None else ("Oracle AUROC", best)


def _tidy(evidence: BinaryEvidence) -> dict[str, pd.DataFrame]:
    ladder = {} if evidence.ladder is None else {"ladder.csv": tables.tidy_ladder(evidence)}
    return {"metrics.csv": tables.tidy_metrics(evidence), **ladder}


def _interval_note(evidence: BinaryEvidence) -> str:
    return sentence(evidence)


def _asked(evidence: BinaryEvidence) -> dict[str, Any]:
    return {
        "thresholds": {arm: thresholds(own) for arm, own in evidence.operating.items() if own},
        "note": THRESHOLDS_NOTE,
    }


def _compared(evidence: Sequence[BinaryEvidence]) -> tuple[Compared, ...]:
    return COMPARED


BINARY = Rendering(
    template="template.jinja",
    values=_values,
    figures=_figures,
    ladder=tables.ladder,
    chapters=_chapters,
    sections=sections,
    patients=_patients,
    summary=binary_summary,
    best=_best,
    methods=methods,
    record=binary_record,
    tidy=_tidy,
    paper=binary_paper,
    card=BINARY_CARD,
    answers=ANSWERS,
    tables=binary_tables,
    interval_note=_interval_note,
    asked=_asked,
    compared=_compared,
)
"""How such evidence is rendered."""
