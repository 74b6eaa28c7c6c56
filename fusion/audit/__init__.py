"""The audit: one check an object, what it found, and what that means for the numbers.

A new check is a `Check` in the module of its family, and a place in the tuple of that module.
"""

from __future__ import annotations

from collections.abc import Sequence

from featurestore.progress import SILENT, Progress
from fusion.audit import (
    censoring,
    columns,
    encoders,
    fits,
    folds,
    jointly,
    level_rates,
    near_duplicates,
    order,
    pairs,
    predictions,
    predictor_dates,
    provenance,
    sample_size,
    shapes,
    site_follow_up,
    time_columns,
    time_zero,
    times_predictions,
    univariate,
)
from fusion.audit.base import (
    Acceptance,
    AuditReport,
    AuditSubject,
    Check,
    CheckResult,
    Hit,
    Severity,
    Status,
)
from fusion.audit.run import require_acceptable, run_checks

__all__ = [
    "CHECKS",
    "Acceptance",
    "AuditReport",
    "AuditSubject",
    "Check",
    "CheckResult",
    "Hit",
    "Severity",
    "Status",
    "run_audit",
]

CHECKS: tuple[Check, ...] = (
    *folds.CHECKS,
    *near_duplicates.CHECKS,
    *fits.CHECKS,
    *encoders.CHECKS,
    *columns.CHECKS,
    *level_rates.CHECKS,
    *univariate.CHECKS,
    *shapes.CHECKS,
    *pairs.CHECKS,
    *jointly.CHECKS,
    *provenance.CHECKS,
    *order.CHECKS,
    *sample_size.CHECKS,
    *predictions.CHECKS,
    *time_zero.CHECKS,
    *predictor_dates.CHECKS,
    *time_columns.CHECKS,
    *censoring.CHECKS,
    *site_follow_up.CHECKS,
    *times_predictions.CHECKS,
)
"""All checks in the order of the report: identity first, then what the columns and numbers give
away, then what only times can be wrong in."""


def run_audit(
    subject: AuditSubject, accept: Sequence[Acceptance] = (), progress: Progress = SILENT
) -> AuditReport:
    """Runs all checks.

    Args:
        subject: What to look at.
        accept: Hits to set aside (`audit.accept`); they stay visible.
        progress: Told of every check.

    Raises:
        ConfigError: An acceptance names no check, one that cannot be accepted, or no reason.
    """
    require_acceptable(CHECKS, accept)
    kind = subject.cohort.outcome.kind
    checks = [check for check in CHECKS if check.kind in ("", kind)]
    names = {check.name for check in checks}
    return run_checks(checks, subject, [a for a in accept if a.check in names], progress)
