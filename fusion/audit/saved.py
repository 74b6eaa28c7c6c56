"""The results of an audit as values that outlive it.

A check is code, so of each only the words that reports print are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from fusion.audit.base import AuditReport, AuditSubject, Check, CheckResult, Hit, Severity, Status


@dataclasses.dataclass(frozen=True)
class SavedResult:
    """One `CheckResult`, with the words of its check."""

    name: str
    title: str
    looks_at: str
    severity: Severity
    advice: str
    status: Status
    hits: tuple[Hit, ...]
    accepted: tuple[Hit, ...]
    note: str


def save(report: AuditReport) -> tuple[SavedResult, ...]:
    """The results without the code of their checks."""
    return tuple(
        SavedResult(
            name=result.check.name,
            title=result.check.title,
            looks_at=result.check.looks_at,
            severity=result.check.severity,
            advice=result.check.advice,
            status=result.status,
            hits=result.hits,
            accepted=result.accepted,
            note=result.note,
        )
        for result in report.results
    )


def restore(saved: Iterable[SavedResult]) -> AuditReport:
    """The report that was saved; its checks look at nothing any more."""
    return AuditReport(
        tuple(
            CheckResult(
                Check(s.name, s.title, s.looks_at, s.severity, s.advice, _nothing),
                s.status,
                s.hits,
                s.accepted,
                s.note,
            )
            for s in saved
        )
    )


def _nothing(subject: AuditSubject) -> Iterator[Hit]:
    return iter(())
