"""Sections about what a result must stand: audit, published claim, ladders."""

from __future__ import annotations

import pydantic

from featurestore.config import Section


class AcceptConfig(Section):
    """A finding of the audit that the author of the configuration knows and answers for.

    Attributes:
        check: Name of the check; checks of identity cannot be accepted.
        subject: One of the things that the finding is about, as the audit names it.
        reason: Why it does no harm; printed with the finding.
    """

    check: str
    subject: str
    reason: str


class AuditConfig(Section):
    """The audit.

    Attributes:
        accept: Findings to set aside; they stay visible and do not count for the exit code.
    """

    accept: tuple[AcceptConfig, ...] = ()


class ClaimConfig(Section):
    """A published result that the linkage ladder is compared with.

    Attributes:
        source: Where it was published.
        auc: Its AUROC.
        aupr: Its area under the precision-recall curve.
        accuracy: Its accuracy.
    """

    source: str
    auc: float | None = pydantic.Field(None, ge=0, le=1)
    aupr: float | None = pydantic.Field(None, ge=0, le=1)
    accuracy: float | None = pydantic.Field(None, ge=0, le=1)


class TimeLadderConfig(Section):
    """The time ladder, which is climbed where a predictor became known after time zero.

    Attributes:
        primaries: Expression that is true of patients whose specimen is the primary tumour.
        components: Principal components of each embedding.
        folds: Folds on every rung.
        repeats: Repeats with other shuffles.
        jobs: Worker processes; results do not depend on it.
    """

    primaries: str = "specimen_type == 'primary'"
    components: int = pydantic.Field(16, ge=1, le=1000)
    folds: int = pydantic.Field(5, ge=2, le=50)
    repeats: int = pydantic.Field(3, ge=1, le=100)
    jobs: int = pydantic.Field(2, ge=1, le=1024)


class LadderConfig(Section):
    """The linkage ladder, which every label-matched run climbs.

    Attributes:
        components: Principal components of each embedding.
        folds: Folds on every rung.
        repeats: Repeats with other shuffles.
        jobs: Worker processes; results do not depend on it.
    """

    components: int = pydantic.Field(64, ge=1, le=1000)
    folds: int = pydantic.Field(5, ge=2, le=50)
    repeats: int = pydantic.Field(3, ge=1, le=100)
    jobs: int = pydantic.Field(2, ge=1, le=1024)
