"""External validation in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from featurestore.units import counted
from fusion.evidence.intervals import interval_facts
from fusion.predict.external import ExternalValidation
from fusion.report.numbers import with_interval
from fusion.report.terminal import WIDTH


def print_validation(found: ExternalValidation, console: Console) -> None:
    """Prints each metric on the other cohort beside that of the study's cross-validation."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    who = found.observed.noun.counted(found.n)
    if found.observed.unit == "lesion":
        who = f"{found.observed.text} ({found.clusters} clusters)"
    console.print(
        f"bundle {found.bundle} on another cohort: {found.outcome}, {who}, "
        f"{counted(found.events, 'event')}; nothing was refitted",
        markup=False,
    )
    if found.outcome != found.predicts:
        console.print(
            f"warning: the bundle predicts {found.predicts}, another outcome of the same kind: its "
            f"ranking can be judged, its risks were never meant for this one",
            markup=False,
            highlight=False,
        )
    if found.absent:
        console.print(
            f"warning: the cohort has no {', '.join(found.absent)}; typical values stand in",
            markup=False,
            highlight=False,
        )
    if found.refused:
        console.print(
            f"warning: {found.observed.noun.counted(len(found.refused))} could not be scored "
            "(refused.csv)",
            markup=False,
        )
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in ("arm", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in ("here [95 % CI]", "cross-validated [95 % CI]"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in found.arms:
        for k, (name, label) in enumerate(found.measuring.shown.items()):
            before = arm.cross_validated.get(name)
            table.add_row(
                Text(arm.arm if k == 0 else ""),
                label,
                Text(with_interval(arm.metrics.get(name))),
                Text(with_interval(before)),
            )
    console.print(table, highlight=False)
    headline = found.measuring.headline
    estimates = (arm.metrics[headline] for arm in found.arms)
    for facts in interval_facts(estimates, found.observed.drawn):
        console.print(f"intervals here: {facts.text}", markup=False, highlight=False)
