"""The ablation table in a terminal of 100 columns."""

from __future__ import annotations

from rich.box import SQUARE
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from featurestore.cohort import watermark
from featurestore.units import counted
from fusion.evaluation import Ladder
from fusion.evaluation.ladder import METRICS
from fusion.evidence import ArmEvidence, BinaryEvidence, Evidence
from fusion.report.answer import Answer, answer
from fusion.report.comparison import (
    UNDEFINED,
    Comparison,
    comparison_mark,
    interval_note,
    paired_table,
    settings_table,
)
from fusion.report.kinds import rendering
from fusion.report.numbers import NOTHING, number, p_value, took, with_interval
from fusion.report.tables import difference

WIDTH = 100
NAME_WIDTH = 24  # what the numbers leave; longer names break before their modalities


def print_evidence(evidence: Evidence, console: Console) -> None:
    """Prints what a person needs to see after a run: warnings, the table, the oracle."""
    run, kind = evidence.run, rendering(evidence)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print()
    console.print(
        f"{run.name}: {run.outcome_name}, {kind.summary(evidence)}, linkage {run.linkage}",
        markup=False,
    )
    console.print(_answer_box(answer(evidence)), highlight=False)
    mark = watermark(run.linkage, run.synthetic)
    if mark:
        console.print(mark, style="bold", markup=False, highlight=False)
    for finding in evidence.findings:
        if finding.level != "note":
            console.print(f"{finding.level}: {finding.text}", markup=False, highlight=False)
    for table in kind.tables(evidence):
        console.print(table, highlight=False)
    console.print(kind.interval_note(evidence), markup=False, highlight=False)
    if evidence.seconds:
        console.print(
            "Last column: seconds of all fits of the arm, tuning included.", highlight=False
        )
    best = kind.best(evidence)
    if best is not None:
        name = best[0].replace("Oracle", "oracle")
        console.print(f"{name} {best[1]}: no predictor can be expected to do better", markup=False)


def _answer_box(found: Answer) -> Panel:
    """The verdict and what it rests on; the line above has said who was studied."""
    shown = found.rows[2:]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, value in shown:
        rows.add_row(Text(name), Text(value))
    return Panel(Group(Text(found.sentence, style="bold"), "", rows), box=SQUARE, expand=True)


def binary_summary(evidence: BinaryEvidence) -> str:
    """Who was studied, in a few words."""
    run = evidence.run
    who = run.counted.text
    return f"{who}, {counted(run.n_events, 'event')} ({run.prevalence:.1%})"


def binary_tables(evidence: BinaryEvidence) -> list[Table]:
    """The linkage ladder, where there is one, and the arms."""
    ladder = [] if evidence.ladder is None else [ladder_table(evidence.ladder)]
    return [*ladder, _table(evidence)]


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints how to read the comparison, and one line an arm and run."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print()
    mark = comparison_mark(comparison)
    if mark:
        console.print(mark, style="bold", markup=False, highlight=False)
    for text in comparison.caveats:
        console.print(text, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("arm", overflow="fold", ratio=1)
    table.add_column("run", overflow="fold", ratio=1)
    metrics = comparison.metrics
    values = [f"{m.heading} [95 % CI]" if m.in_terminal else m.heading for m in metrics]
    for heading in ("n", "events", *values):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.arms:
        found = [row.arm.metrics.get(metric.name, UNDEFINED) for metric in metrics]
        cells = [row.arm.arm, row.label, str(row.arm.n), str(row.arm.events)]
        cells += [
            with_interval(estimate) if metric.in_terminal else number(estimate.value)
            for metric, estimate in zip(metrics, found, strict=True)
        ]
        table.add_row(*[Text(cell) for cell in cells])
    console.print(table, highlight=False)
    console.print(interval_note(comparison), markup=False, highlight=False)
    for below in (settings_table(comparison), paired_table(comparison)):
        if below is not None:
            console.print()
            console.print(below.caption, markup=False, highlight=False)
            shown = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
            for heading in below.columns:
                shown.add_column(heading, overflow="fold")
            for line in below.rows:
                shown.add_row(*[Text(cell) for cell in line])
            console.print(shown, highlight=False)


def ladder_table(shown: Ladder) -> Table:
    """The linkage ladder in 100 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("linkage ladder", no_wrap=True)
    for heading in ("n", "events", "AUROC [95 % CI]", "AUPRC [95 % CI]", "accuracy [95 % CI]"):
        table.add_column(heading, justify="right", no_wrap=True)
    if shown.claim is not None:
        stated = [shown.claim.values.get(name) for name in METRICS]
        told = ["" if value is None else f"{value:.4g}" for value in stated]
        table.add_row("claimed", "", "", *told)
    for rung in shown.rungs:
        cells = [with_interval(rung.metrics[name]) for name in METRICS]
        table.add_row(rung.name, str(rung.n), str(rung.events), *cells)
    return table


def _table(evidence: BinaryEvidence) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("arm", overflow="fold", ratio=1)
    headings = ("AUROC [95 % CI]", "AUPRC", "Brier", "slope", "ΔAUROC [95 % CI]", "p", "fit s")
    for heading in headings if evidence.seconds else headings[:-1]:
        table.add_column(heading, justify="right", no_wrap=True)
    kind = "arm"
    for arm in evidence.arms:
        if arm.kind == "floor" != kind:
            table.add_section()
        kind = arm.kind
        last = [Text(took(evidence.seconds.get(arm.arm)))] if evidence.seconds else []
        table.add_row(*_cells(arm), *last)
    return table


def _cells(arm: ArmEvidence) -> list[Text]:
    m = arm.metrics
    cells = [
        arm.arm if len(arm.arm) <= NAME_WIDTH else arm.arm.replace("[", "\n["),
        with_interval(m["auroc"]),
        number(m["auprc"].value),
        number(m["brier"].value),
        number(m["calibration_slope"].value, 2),
        difference(arm, 2),
        p_value(arm.differences["auroc"].p_holm) if arm.differences else NOTHING,
    ]
    return [Text(cell) for cell in cells]
