"""Reports on times to an event for machines, papers and terminals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from featurestore.cohort import watermark
from fusion.evidence.spans import span
from fusion.evidence.survival import SurvivalArm, SurvivalEvidence, at
from fusion.report.json import (
    audit_records,
    overlay_records,
    reference_record,
    tuning_records,
    verdict_record,
)
from fusion.report.kinds import Compared
from fusion.report.latex import Paper
from fusion.report.numbers import NOTHING, number, p_value, took, with_interval
from fusion.report.survival import tables, time_ladder
from fusion.report.tables import KINDS

NAME_WIDTH = 25
CURVES = {"auc", "calibration", "decision"}


def record(e: SurvivalEvidence) -> dict[str, Any]:
    """Everything but curves."""
    run = dataclasses.asdict(e.run)
    del run["prevalence"]  # a share of patients with an event says nothing without their time
    groups = e.risk_groups
    return {
        "watermark": watermark(e.run.linkage, e.run.synthetic),
        "endpoint": e.endpoint,
        "verdict": verdict_record(e),
        "run": run,
        "findings": [dataclasses.asdict(f) for f in e.findings],
        "audit": audit_records(e),
        "time_ladder": None if e.time_ladder is None else dataclasses.asdict(e.time_ladder),
        "flow": [dataclasses.asdict(s) for s in e.flow],
        "availability": e.availability.to_dict("records"),
        "follow_up": dataclasses.asdict(e.follow_up),
        "baseline": e.baseline,
        "bootstrap_draws": e.bootstrap_draws,
        "headline": tables.HEADLINE,
        "arms": [_arm(a) for a in e.arms],
        "fusion_gain": [dataclasses.asdict(g) for g in e.fusion_gain],
        "risk_groups": {
            "arm": groups.arm,
            "days": list(groups.ticks),
            "groups": [
                {"n": g.n, "events": g.events, "at_risk": list(g.at_risk)} for g in groups.groups
            ],
        },
        "proportional_hazards": None
        if e.proportional is None
        else dataclasses.asdict(e.proportional),
        "group_losses": [dataclasses.asdict(g) for g in e.group_losses],
        "learning_curve": [dataclasses.asdict(p) for p in e.learning_curve],
        "subgroups": [dataclasses.asdict(s) for s in e.subgroups],
        "reference_model": reference_record(e),
        "importances": [dataclasses.asdict(b) for b in e.importances],
        "inputs": [dataclasses.asdict(i) for i in e.inputs],
        "overlays": overlay_records(e),
        "tuning": tuning_records(e),
    }


def _arm(arm: SurvivalArm) -> dict[str, Any]:
    fields = (f.name for f in dataclasses.fields(arm) if f.name not in CURVES)
    plain = {name: getattr(arm, name) for name in fields}
    for name in ("metrics", "differences"):
        plain[name] = {k: dataclasses.asdict(v) for k, v in plain[name].items()}
    return plain


def paper(e: SurvivalEvidence) -> Paper:
    """The table for papers."""
    columns = (
        "Model",
        "$n$",
        "Events",
        "$C$ [95\\,\\% CI]",
        *(f"AUC, {span(days)}" for days in e.horizons),
        *(f"Brier, {span(days)}" for days in e.horizons),
        *(f"O/E, {span(days)}" for days in e.horizons),
        "$\\Delta C$ [95\\,\\% CI]",
        "$p$ (Holm)",
    )
    competing = f", {e.follow_up.competing} with a competing event" if e.competing else ""
    caption = (
        f"Prediction of {e.run.outcome_name} ({e.run.outcome_definition}) in {e.run.n_patients} "
        f"patients, {e.follow_up.events} with the event{competing}. Out-of-fold predictions; "
        f"{tables.headline(e)} Metrics up to {span(e.follow_up.last)}, weighted for "
        f"censoring; 95 % intervals of {e.bootstrap_draws} bootstrap draws of patients, shared by "
        f"all arms. ΔC against {e.baseline}; p adjusted by Holm."
    )
    return Paper(columns, tuple(_cells(e, arm) for arm in e.arms), caption)


def _cells(e: SurvivalEvidence, arm: SurvivalArm) -> tuple[str, ...]:
    kind = KINDS[arm.kind]
    return (
        f"{arm.arm} ({kind})" if kind else arm.arm,
        str(arm.n),
        str(arm.events),
        with_interval(tables.found(arm, tables.HEADLINE)),
        *(number(tables.found(arm, at("auc", days)).value) for days in e.horizons),
        *(number(tables.found(arm, at("brier", days)).value) for days in e.horizons),
        *(
            number(tables.found(arm, at("observed_over_expected", days)).value, 2)
            for days in e.horizons
        ),
        tables.difference(arm),
        _holm(arm),
    )


def terminal_tables(e: SurvivalEvidence) -> list[Table]:
    """The time ladder and the arms, in 100 columns: the last horizon stands for all."""
    last = e.horizons[-1] if e.horizons else None
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("arm", overflow="fold", ratio=1)
    at_last = [f"AUC\n{span(last)}", f"Brier\n{span(last)}", "O/E"] if last else []
    timed = ["fit s"] if e.seconds else []
    for heading in ("C [95 % CI]", *at_last, "ΔC [95 % CI]", "p", *timed):
        table.add_column(heading, justify="right", no_wrap=True)
    kind = "arm"
    for arm in e.arms:
        if arm.kind == "floor" != kind:
            table.add_section()
        kind = arm.kind
        name = arm.arm if len(arm.arm) <= NAME_WIDTH else arm.arm.replace("[", "\n[")
        values = []
        if last is not None:
            values = [
                number(tables.found(arm, at("auc", last)).value),
                number(tables.found(arm, at("brier", last)).value),
                number(tables.found(arm, at("observed_over_expected", last)).value, 2),
            ]
        cells = [
            name,
            with_interval(tables.found(arm, tables.HEADLINE)),
            *values,
            tables.difference(arm, 2),
            _holm(arm),
            *([took(e.seconds.get(arm.arm))] if e.seconds else []),
        ]
        table.add_row(*[Text(cell) for cell in cells])
    climbed = [] if e.time_ladder is None else time_ladder.terminal(e.time_ladder)
    return [*climbed, table]


def compared(found: Sequence[SurvivalEvidence]) -> tuple[Compared, ...]:
    """Concordance, and AUC and Brier score at the horizons that all runs share."""
    days = [d for d in found[0].horizons if all(d in e.horizons for e in found)]
    return (
        Compared(tables.HEADLINE, "C", on_page=True, in_terminal=True),
        *(Compared(at("auc", d), f"AUC, {span(d)}", True, False) for d in days),
        *(Compared(at("brier", d), f"Brier, {span(d)}", False, False) for d in days),
    )


def _holm(arm: SurvivalArm) -> str:
    tested = arm.differences.get(tables.HEADLINE)
    return NOTHING if tested is None else p_value(tested.p_holm)
