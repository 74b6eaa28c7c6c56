"""The runs of a project as a table in the terminal, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from featurestore.plain import finite, plain
from fusion.evidence.listing import ListedRun
from fusion.report.numbers import with_interval

WIDTH = 100
_LONGEST = 40


def print_runs(runs: Sequence[ListedRun], console: Console) -> None:
    """Prints one line a run, and below what differs between their configurations."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("run", overflow="fold", ratio=2)
    for heading in ("made (UTC)", "n", "events", "[95 % CI]", "audit"):
        table.add_column(Text(heading), no_wrap=True)
    table.add_column("of", overflow="fold", ratio=3)
    for run in (one for one in runs if not one.problem):
        shown = f"{run.metric} {with_interval(run.estimate)}" if run.estimate else ""
        cells = (run.folder, run.made, str(run.patients), str(run.events), shown, run.audit)
        table.add_row(*map(Text, (*cells, f"{run.baseline}, {run.outcome}")))
    if table.row_count:
        console.print(table)
    for run in (one for one in runs if one.problem):
        console.print(f"{run.folder}: {run.problem}", markup=False, soft_wrap=True)
    for run in (one for one in runs if one.settings):
        said = "; ".join(f"{name}={_short(text)}" for name, text in run.settings.items())
        console.print(f"{run.folder} differs: {said}", markup=False, soft_wrap=True)


def runs_json(runs: Sequence[ListedRun]) -> str:
    """All that is listed, as indented JSON; numbers that are not defined are null."""
    records = [finite(_record(run)) for run in runs]
    return json.dumps(records, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _record(run: ListedRun) -> dict[str, object]:
    record = dataclasses.asdict(run)
    estimate = run.estimate
    record["estimate"] = None if estimate is None else dataclasses.asdict(estimate)
    return {name: plain(value) if name == "settings" else value for name, value in record.items()}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
