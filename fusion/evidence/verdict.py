"""What may be claimed from the numbers, by rules that look at nothing else.

Each rule is a function of what was measured. What cannot be claimed is decided before what can: an
obstacle takes every claim away, and the report says which it was. Sentences are made from a verdict
by `fusion.report`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from fusion.audit.base import AuditReport
from fusion.evidence.about import RunFacts
from fusion.evidence.leaderboard import CHANCE, Measured, leaderboard, simplest_within_tie
from fusion.metrics import Estimate, holm
from fusion.metrics.cross_validated import PairedTest

FEWEST = 50
"""Patients of the rarer class below which nothing is claimed: no smaller cohort was simulated when
intervals were checked (180 patients, 30 % with the outcome: `fusion.evidence.intervals`)."""

ALPHA = 0.05

SLOPE_KNOWN = (2 / 3, 3 / 2)
"""Ends between which the interval of a calibration slope must lie to call risks calibrated."""

LEVEL_KNOWN = 0.5
"""The same of the intercept, on either side of 0: odds that are off by less than two thirds."""

TOO_GOOD = ("too_good", "too_concordant")
"""Checks of the audit whose hits send a reader to the audit before any number."""

ObstacleName = Literal[
    "audit", "above_literature", "label_matched", "synthetic", "few_events", "undefined",
    "floor", "chance",
]  # fmt: skip
"""Why no claim can be made, the gravest first."""

FusionReading = Literal["adds", "not_over_all", "only_unadjusted", "nothing", "harms", "unknown"]
CalibrationReading = Literal[
    "calibrated", "unclear", "underestimates", "overestimates", "too_extreme", "too_moderate",
    "unknown",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """Something that takes every claim away.

    Attributes:
        name: Which.
        about: Checks, arms or counts that it is about, for people.
    """

    name: ObstacleName
    about: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class FusionClaim:
    """What fusing modalities adds to the best single one.

    Attributes:
        reading: `adds` where the fused arm beats every arm that sees one modality, so that no
            choice among them was made by looking (an intersection–union test); `not_over_all` where
            it beats the best of them and not all; `only_unadjusted` where it no longer does after
            Holm; `harms` where the best of them beats it.
        fused: The fused arm: the one that differences are taken against, chosen before the data
            were seen; where that sees one modality, the best of those that see all.
        single: The best arm that sees one modality.
        delta: Headline metric of the fused arm minus that of the single one, paired.
        p: Largest p over all single arms, adjusted by Holm over the fused arms that were looked at.
        looked_at: How many fused arms these were.
        unbeaten: Single arms that the fused one does not measurably beat.
    """

    reading: FusionReading
    fused: str
    single: str
    delta: Estimate
    p: float
    looked_at: int
    unbeaten: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CalibrationClaim:
    """Whether predicted risks are the observed ones.

    Attributes:
        arm: Of which arm.
        readings: In what way they are not, or `calibrated`, `unclear` or `unknown` alone.
        level: Calibration intercept; above 0 risk is underestimated.
        slope: Calibration slope; below 1 risks are too extreme.
    """

    arm: str
    readings: tuple[CalibrationReading, ...]
    level: Estimate
    slope: Estimate


@dataclasses.dataclass(frozen=True)
class AuditClaim:
    """What the audit said.

    Attributes:
        looked: Checks that could look.
        fired: Checks that found something.
        grave: Titles of those that take the meaning from the numbers.
    """

    looked: int
    fired: int
    grave: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What may be claimed, and what stands at the top of a report.

    Attributes:
        best: The best arm that is no floor; chosen by looking, so its value is on the bright side.
        among: Of how many arms it is the best.
        reference: The arm that differences are taken against.
        subject: The arm that claims are about: the fused one, else the reference.
        obstacles: Why nothing can be claimed, the gravest first; empty where something can.
        fusion: What fusion adds; None where it is not asked.
        modalities: Modalities that any arm sees.
        calibration: Of the subject.
        audit: None where no audit was made.
        recommended: The simplest arm within one tie width of the best; None where an obstacle
            other than made-up patients stands in the way.
    """

    best: str
    among: int
    reference: str
    subject: str
    obstacles: tuple[Obstacle, ...]
    fusion: FusionClaim | None
    modalities: tuple[str, ...]
    calibration: CalibrationClaim
    audit: AuditClaim | None
    recommended: str | None


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What a verdict is made from.

    Attributes:
        run: What was run.
        audit: What the audit said; None where none was made.
        arms: Arms of the ablation table.
        baseline: Name of the arm that differences are taken against.
        headline: Metric by which arms are ranked; higher is better, 0.5 is chance.
        rarer: Independent patients of the rarer class; of times, those with the event.
        calibration: Names of the calibration intercept and slope.
        against: The paired test of the headline of one arm minus that of another.
        ties: Tie widths of all arms to the one named.
    """

    run: RunFacts
    audit: AuditReport | None
    arms: Sequence[Measured]
    baseline: str
    headline: str
    rarer: int
    calibration: tuple[str, str]
    against: Callable[[str, str], PairedTest]
    ties: Callable[[str], Mapping[str, float]]

    def arm(self, name: str) -> Measured:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.arm == name)


def find_verdict(m: Measurements) -> Verdict:
    """Decides what may be claimed."""
    ranked = [a for a in leaderboard(m.arms, m.headline) if a.kind != "floor"] or list(m.arms)
    best = ranked[0]
    fusion = fusion_claim(m)
    subject = m.baseline if fusion is None else fusion.fused
    found = tuple(obstacles(m, m.arm(subject), best))
    level, slope = (_metric(m.arm(subject), name) for name in m.calibration)
    recommended = None
    if not [o for o in found if o.name != "synthetic"]:
        recommended = simplest_within_tie(ranked, m.headline, best, m.ties(best.arm)).arm
    return Verdict(
        best=best.arm,
        among=len(ranked),
        reference=m.baseline,
        subject=subject,
        obstacles=found,
        fusion=fusion,
        modalities=tuple(dict.fromkeys(x for arm in m.arms for x in arm.modalities)),
        calibration=CalibrationClaim(subject, calibration_readings(level, slope), level, slope),
        audit=audit_claim(m.audit),
        recommended=recommended,
    )


def obstacles(m: Measurements, subject: Measured, best: Measured) -> Iterator[Obstacle]:
    """Whatever takes every claim away, the gravest first.

    Args:
        m: What was measured.
        subject: The arm that a claim would be about.
        best: The best arm that is no floor.
    """
    fired = () if m.audit is None else m.audit.fired
    grave = [r.check.title for r in fired if r.severity == "invalidates"]
    if grave:
        yield Obstacle("audit", tuple(grave))
    if any(r.check.name in TOO_GOOD for r in fired):
        yield Obstacle("above_literature")
    if m.run.linkage != "patient":
        yield Obstacle("label_matched")
    if m.run.synthetic:
        yield Obstacle("synthetic")
    if m.rarer < FEWEST:
        yield Obstacle("few_events", (str(m.rarer),))
    own = subject.metrics[m.headline]
    if not (math.isfinite(own.value) and math.isfinite(own.low)):
        yield Obstacle("undefined", (subject.arm,))
        return
    floors = [a for a in m.arms if a.kind == "floor"]
    above = [a.arm for a in floors if a.metrics[m.headline].value >= best.metrics[m.headline].value]
    if above or best.kind == "floor":
        yield Obstacle("floor", tuple(above) or (best.arm,))
    elif own.low <= CHANCE:
        yield Obstacle("chance", (subject.arm,))


def fusion_claim(m: Measurements) -> FusionClaim | None:
    """What the fused arm adds to the best single modality; None without arms of both kinds."""
    real = [arm for arm in m.arms if arm.kind != "floor"]
    singles = [arm for arm in real if len(arm.modalities) == 1]
    several = {len(arm.modalities) for arm in real}
    given = m.arm(m.baseline)
    if len(given.modalities) > 1 and given.kind == "arm":
        fused = [given]
    else:
        fused = [a for a in real if len(a.modalities) == max(several) > 1 and a.kind == "arm"]
    if not singles or not fused or len({arm.modalities for arm in singles}) < 2:
        return None
    tests = {a.arm: {s.arm: m.against(a.arm, s.arm) for s in singles} for a in fused}
    largest = [max(_p(test) for test in own.values()) for own in tests.values()]
    adjusted = dict(zip(tests, holm(largest), strict=True))
    chosen = leaderboard(fused, m.headline)[0].arm
    single = leaderboard(singles, m.headline)[0].arm
    unbeaten = tuple(name for name, test in tests[chosen].items() if not test.estimate.low > 0)
    delta, p = tests[chosen][single].estimate, float(adjusted[chosen])
    reading = _reading(delta, unbeaten, p)
    return FusionClaim(reading, chosen, single, delta, p, len(fused), unbeaten)


def calibration_readings(level: Estimate, slope: Estimate) -> tuple[CalibrationReading, ...]:
    """Whether risks are the observed ones; wide intervals are no sign that they are.

    Args:
        level: Calibration intercept, ideal 0.
        slope: Calibration slope, ideal 1.
    """
    ends = (level.low, level.high, slope.low, slope.high)
    if not all(map(math.isfinite, ends)):
        return ("unknown",)
    found: list[CalibrationReading] = []
    if level.low > 0:
        found.append("underestimates")
    if level.high < 0:
        found.append("overestimates")
    if slope.high < 1:
        found.append("too_extreme")
    if slope.low > 1:
        found.append("too_moderate")
    known = (
        level.low >= -LEVEL_KNOWN
        and level.high <= LEVEL_KNOWN
        and SLOPE_KNOWN[0] <= slope.low
        and slope.high <= SLOPE_KNOWN[1]
    )
    return tuple(found) or (("calibrated",) if known else ("unclear",))


def audit_claim(audit: AuditReport | None) -> AuditClaim | None:
    """What the audit said, in counts."""
    if audit is None:
        return None
    looked = [r for r in audit.results if r.status != "not_applicable"]
    grave = tuple(r.check.title for r in audit.fired if r.severity == "invalidates")
    return AuditClaim(len(looked), len(audit.fired), grave)


def _reading(delta: Estimate, unbeaten: Sequence[str], p: float) -> FusionReading:
    if not (math.isfinite(delta.low) and math.isfinite(delta.high)):
        return "unknown"
    if delta.high < 0:
        return "harms"
    if delta.low <= 0:
        return "nothing"
    if unbeaten:
        return "not_over_all"
    return "adds" if p < ALPHA else "only_unadjusted"


def _p(test: PairedTest) -> float:
    return test.p if math.isfinite(test.p) else 1.0


def _metric(arm: Measured, name: str) -> Estimate:
    return arm.metrics.get(name, Estimate(math.nan, math.nan, math.nan))
