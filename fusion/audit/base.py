"""What an audit looks at, what a check is, and what comes out of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

import pandas as pd

from featurestore.cohort import Cohort, Folds
from featurestore.store import EncoderIdentity
from featurestore.units import Noun, worded
from fusion.config import AblationConfig
from fusion.ledger import FitRecord

Severity = Literal["invalidates", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The gravest first."""

Status = Literal["clear", "fired", "accepted", "not_applicable"]


@dataclasses.dataclass(frozen=True)
class AuditSubject:
    """Everything that checks may look at.

    Attributes:
        cohort: The cohort as it is studied.
        groups: Group of each patient; a group is never split over folds.
        folds: Frozen outer folds.
        ablation: Arms and how they are fitted.
        encoders: For each repeat and fold the identity by name of what embeds for it.
        fits: Ledger of every fit; empty before the ablation.
        predictions: Out-of-fold predictions; None before the ablation.
        seed: Seed of the study; checks derive theirs from it.
    """

    cohort: Cohort
    groups: Mapping[str, str]
    folds: Folds
    ablation: AblationConfig
    encoders: Mapping[tuple[int, int], Mapping[str, EncoderIdentity]]
    fits: tuple[FitRecord, ...] = ()
    predictions: pd.DataFrame | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Hit:
    """One thing that a check found.

    Attributes:
        text: One sentence for people, with ids, columns and figures.
        subjects: What it is about (columns, patients, images, arms), as `audit.accept` names it.
        value: The figure that decided, if one did.
        severity: How grave this hit is, where that is not the severity of its check.
    """

    text: str
    subjects: tuple[str, ...] = ()
    value: float | None = None
    severity: Severity | None = None

    def worded(self, noun: Noun) -> Hit:
        """The hit with `{patients}` called what they are."""
        return dataclasses.replace(self, text=worded(self.text, noun))


def needs_binary(subject: AuditSubject) -> str:
    """`applies` of checks of outcomes that are there or not, whenever they came."""
    if subject.cohort.outcome.kind == "binary":
        return ""
    return "it is of outcomes that are there or not; times have checks of their own"


def always(subject: AuditSubject) -> str:
    """`applies` of checks that need nothing but a cohort and folds."""
    return ""


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Name in configurations, a word with underscores.
        title: Name for people. Here and below observations are `{patients}`, or a `{patient}`.
        looks_at: One sentence: what is compared with what, and from where on it is a finding.
        severity: How grave a hit is, unless it says so itself.
        advice: One sentence: what to do about a hit.
        find: Yields hits, whose words name observations as the others here do, in an order
            that does not depend on the order of rows.
        applies: Why the check cannot look at a subject; empty if it can.
        kind: Kind of endpoint whose audits it is part of; empty for all.
        acceptable: Whether `audit.accept` may set its hits aside. Checks of identity (the same
            patient, image, row or label on both sides of a fold) are never acceptable.
    """

    name: str
    title: str
    looks_at: str
    severity: Severity
    advice: str
    find: Callable[[AuditSubject], Iterable[Hit]]
    applies: Callable[[AuditSubject], str] = always
    acceptable: bool = True
    kind: str = ""

    def worded(self, noun: Noun) -> Check:
        """The check with `{patients}` in its words called what they are."""
        return dataclasses.replace(
            self,
            title=worded(self.title, noun),
            looks_at=worded(self.looks_at, noun),
            advice=worded(self.advice, noun),
        )


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """What one check said.

    Attributes:
        check: The check.
        status: `clear`, `fired`, `accepted` (every hit was) or `not_applicable`.
        hits: Hits that count.
        accepted: Hits that the configuration set aside, with their reasons in `note`.
        note: Why the check does not apply, or why hits were accepted.
    """

    check: Check
    status: Status
    hits: tuple[Hit, ...] = ()
    accepted: tuple[Hit, ...] = ()
    note: str = ""

    @property
    def severity(self) -> Severity:
        """Severity of the gravest hit that counts; that of the check without hits."""
        found = [hit.severity or self.check.severity for hit in self.hits]
        return min(found, key=SEVERITIES.index) if found else self.check.severity


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """The results of all checks, in their order."""

    results: tuple[CheckResult, ...]

    @property
    def fired(self) -> tuple[CheckResult, ...]:
        """Results with hits that count, the gravest first."""
        found = [result for result in self.results if result.status == "fired"]
        return tuple(sorted(found, key=lambda result: SEVERITIES.index(result.severity)))

    @property
    def invalidated(self) -> bool:
        """Whether a hit that counts takes the meaning from the numbers."""
        return any(result.severity == "invalidates" for result in self.fired)


@dataclasses.dataclass(frozen=True)
class Acceptance:
    """A hit that the author of a configuration knows and answers for.

    Attributes:
        check: Name of the check.
        subject: One of the hit's subjects; a hit with several needs an acceptance of each.
        reason: Why it does no harm; printed with the hit.
    """

    check: str
    subject: str
    reason: str
