"""Runs checks and sets aside what the configuration accepts."""

from __future__ import annotations

from collections.abc import Sequence

from featurestore.errors import ConfigError
from featurestore.progress import SILENT, Progress
from featurestore.units import NOUNS, worded
from fusion.audit.base import Acceptance, AuditReport, AuditSubject, Check, CheckResult, Hit, Status


def run_checks(
    checks: Sequence[Check],
    subject: AuditSubject,
    accept: Sequence[Acceptance] = (),
    progress: Progress = SILENT,
) -> AuditReport:
    """Runs checks in their order.

    Args:
        checks: The checks.
        subject: What to look at.
        accept: Hits to set aside; they stay visible.
        progress: Told of every check.

    Raises:
        ConfigError: An acceptance names no check, one that cannot be accepted, or no reason.
    """
    require_acceptable(checks, accept)
    progress.start("audit", len(checks))
    results = []
    for check in checks:
        results.append(_run(check, subject, [a for a in accept if a.check == check.name]))
        progress.advance(1)
    report = AuditReport(tuple(results))
    looked = sum(result.status != "not_applicable" for result in results)
    progress.finish(f"audit: {looked} of {len(checks)} checks apply, {len(report.fired)} fired")
    return report


def _run(check: Check, subject: AuditSubject, accept: Sequence[Acceptance]) -> CheckResult:
    noun = subject.cohort.noun
    reason = worded(check.applies(subject), noun)
    told = check.worded(noun)
    if reason:
        return CheckResult(told, "not_applicable", note=reason)
    found = tuple(hit.worded(noun) for hit in check.find(subject))
    known = {a.subject: a.reason for a in accept}
    accepted = tuple(hit for hit in found if _subjects(hit) <= known.keys())
    hits = tuple(hit for hit in found if not _subjects(hit) <= known.keys())
    used = {name for hit in accepted for name in _subjects(hit)}
    notes = [f"{name} accepted: {known[name]}" for name in sorted(used)]
    notes += [f"nothing to accept for {name}" for name in sorted(known.keys() - used)]
    status: Status = "fired" if hits else "accepted" if accepted else "clear"
    return CheckResult(told, status, hits, accepted, "; ".join(notes))


def _subjects(hit: Hit) -> set[str]:
    return set(hit.subjects or ("",))


def require_acceptable(checks: Sequence[Check], accept: Sequence[Acceptance]) -> None:
    """Refuses acceptances that can set nothing aside.

    Raises:
        ConfigError: An acceptance names no check, one that cannot be accepted, or no reason.
    """
    by_name = {check.name: check for check in checks}
    for acceptance in accept:
        check = by_name.get(acceptance.check)
        if check is None:
            raise ConfigError(
                f"audit.accept: no check is called {acceptance.check!r}; "
                f"known: {', '.join(by_name)}"
            )
        if not check.acceptable:
            raise ConfigError(
                f"audit.accept: {check.name} cannot be accepted, because no reason makes numbers "
                f"valid that it fires on; {check.worded(NOUNS['patient']).advice}"
            )
        if not acceptance.reason.strip():
            raise ConfigError(f"audit.accept: {check.name} of {acceptance.subject} needs a reason")
