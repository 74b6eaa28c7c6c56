"""The audit by itself, for a terminal and for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from fusion.audit.base import AuditReport, CheckResult
from fusion.report.json import audit_record
from fusion.report.terminal import WIDTH


def print_audit(report: AuditReport, console: Console) -> None:
    """Prints a table of all checks, then what was found and what to do, the gravest first."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(_table(report), highlight=False)
    accepted = [result for result in report.results if result.status == "accepted"]
    for result in (*report.fired, *accepted):
        console.print(f"\n{result.check.name}: {result.check.title}", markup=False, highlight=False)
        for hit in (*result.hits, *result.accepted):
            about = f" [{', '.join(hit.subjects)}]" if hit.subjects else ""
            console.print(f"    {hit.text}{about}", markup=False, highlight=False)
        if result.hits:
            console.print(f"    -> {result.check.advice}", markup=False, highlight=False)
        if result.note:
            console.print(f"    {result.note}", markup=False, highlight=False)
    fired = len(report.fired)
    verdict = "what fired invalidates the numbers" if report.invalidated else "nothing invalidates"
    console.print(f"\n{fired} of {len(report.results)} checks fired; {verdict}", markup=False)


def audit_json(reports: Mapping[str, AuditReport]) -> str:
    """The audit as indented JSON; those of several outcomes by their name."""
    records = {
        outcome: {
            "invalidated": report.invalidated,
            "results": [audit_record(result) for result in report.results],
        }
        for outcome, report in reports.items()
    }
    whole = records if len(records) > 1 else next(iter(records.values()))
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _table(report: AuditReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in ("check", "severity", "status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("hits", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for result in report.results:
        table.add_row(*_cells(result))
    return table


def _cells(result: CheckResult) -> tuple[str, ...]:
    status = result.status.replace("_", " ")
    found = len(result.hits) + len(result.accepted)
    why = result.note if result.status == "not_applicable" else ""
    return result.check.name, result.severity, status, str(found) if found else "", why
