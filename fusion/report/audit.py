"""The audit by itself, for a terminal and for machines."""

from __future__ import annotations

import json

from rich.console import Console

from fusion.audit.base import AuditReport
from fusion.report.json import audit_record
from fusion.report.terminal import WIDTH


def print_audit(report: AuditReport, console: Console) -> None:
    """Prints a line a check; below those that fired what was found and what to do."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    for result in report.results:
        grave = f" ({result.severity})" if result.hits else ""
        status = result.status.replace("_", " ")
        console.print(f"{status:<15}{result.check.title}{grave}", markup=False, highlight=False)
        for hit in (*result.hits, *result.accepted):
            console.print(f"    {hit.text}", markup=False, highlight=False)
        if result.hits:
            console.print(f"    -> {result.check.advice}", markup=False, highlight=False)
        if result.note:
            console.print(f"    {result.note}", markup=False, highlight=False)
    fired = len(report.fired)
    verdict = "what fired invalidates the numbers" if report.invalidated else "nothing invalidates"
    console.print(f"{fired} of {len(report.results)} checks fired; {verdict}", markup=False)


def audit_json(report: AuditReport) -> str:
    """The audit as indented JSON."""
    record = {
        "invalidated": report.invalidated,
        "results": [audit_record(result) for result in report.results],
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
