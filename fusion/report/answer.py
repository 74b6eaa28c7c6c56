"""The answer: what may be claimed, in one sentence, and the few numbers that it rests on.

The rules are in `fusion.evidence.verdict`; here a verdict becomes words, the same in all forms of
the report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fusion.evidence import Arm, Evidence
from fusion.evidence.verdict import FEWEST, CalibrationClaim, FusionClaim, Obstacle
from fusion.report.kinds import Compared, rendering
from fusion.report.numbers import with_interval
from fusion.report.sentences import named

READINGS: Mapping[str, str] = {
    "calibrated": "calibrated",
    "unclear": "calibration unclear",
    "underestimates": "risk underestimated",
    "overestimates": "risk overestimated",
    "too_extreme": "risks too extreme",
    "too_moderate": "risks too moderate",
    "unknown": "calibration not known",
}
MOST_NAMES = 3
"""Arms that are named; the rest is counted."""

ABOUT_PATIENTS = ("synthetic",)
"""Obstacles that leave something to be said of the made-up patients."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What stands above everything else.

    Attributes:
        sentence: The verdict.
        claim: Whether something may be claimed; else the sentence says why nothing may.
        rows: Names and values of what it rests on.
    """

    sentence: str
    claim: bool
    rows: tuple[tuple[str, str], ...]


def answer(evidence: Evidence) -> Answer:
    """Makes the answer of a report."""
    v, metric = evidence.verdict, _headline(evidence)
    lasting = [o for o in v.obstacles if o.name not in ABOUT_PATIENTS]
    if lasting:
        told = "; ".join(_obstacle(o, evidence) for o in v.obstacles)
        sentence = f"No claim can be made: {told}."
    else:
        said = f"{_finding(evidence)}; {_calibrated(v.calibration)}; {_audited(evidence)}."
        sentence = said[0].upper() + said[1:]
        if v.obstacles:
            sentence = (
                "No claim about real patients can be made: the cohort is synthetic. In it, " + said
            )
    return Answer(sentence, not v.obstacles, tuple(_rows(evidence, metric)))


def _rows(evidence: Evidence, metric: Compared) -> list[tuple[str, str]]:
    run, v = evidence.run, evidence.verdict
    arms = {arm.arm: arm for arm in evidence.arms}
    chosen = f", the best of {v.among}" if v.among > 1 else ""
    rows = [
        ("Outcome", f"{run.outcome_name}: {run.outcome_definition}"),
        (evidence.noun.many.capitalize(), rendering(evidence).patients(evidence)),
        ("Best arm", f"{_measured(arms[v.best], metric)}{chosen}"),
    ]
    if v.reference != v.best:
        rows.append(("Reference", _measured(arms[v.reference], metric)))
    if v.fusion is not None:
        rows.append(("Best single modality", _measured(arms[v.fusion.single], metric)))
        rows.append(("What fusion adds", _added(v.fusion, metric)))
    rows.append(("Calibration", _calibration(v.calibration)))
    rows.append(("Audit", _audit(evidence)))
    if v.recommended is not None:
        tied = "the best arm" if v.recommended == v.best else "within a tie of the best arm"
        rows.append(("Simplest as good", f"{v.recommended}, {tied}"))
    return rows


def _headline(evidence: Evidence) -> Compared:
    return rendering(evidence).compared([evidence])[0]


def _measured(arm: Arm, metric: Compared) -> str:
    return f"{arm.arm}, {metric.heading} {with_interval(arm.metrics[metric.name])}"


def _added(claim: FusionClaim, metric: Compared) -> str:
    text = f"{with_interval(claim.delta, sign=True)} {metric.heading}, of {claim.fused}"
    others = [name for name in claim.unbeaten if name != claim.single]
    if others:
        text += f"; no measurable gain over {named(others, MOST_NAMES)} either"
    return text


def _finding(evidence: Evidence) -> str:
    """What is found where nothing stands in the way; begins with a small letter."""
    v, metric = evidence.verdict, _headline(evidence)
    claim = v.fusion
    if claim is None:
        found = next(a for a in evidence.arms if a.arm == v.reference)
        asked = "what fusion adds is not known: no arms of one modality stand beside a fused one"
        if len(v.modalities) < 2:
            asked = "there is one modality only, so nothing is fused"
        return f"{_measured(found, metric)}, ranks better than chance; {asked}"
    delta = f"{with_interval(claim.delta, sign=True)} {metric.heading}"
    plain = f"{with_interval(claim.delta)} {metric.heading}"
    others = named((name for name in claim.unbeaten if name != claim.single), MOST_NAMES)
    return {
        "adds": f"fusion adds {plain} to the best single modality",
        "not_over_all": f"fusion adds {plain} to the best single modality, and is not measurably "
        f"better than {others}",
        "only_unadjusted": f"fusion adds {plain} to the best single modality, only before "
        f"adjusting for {claim.looked_at} fused arms that were looked at",
        "nothing": f"fusion adds nothing measurable to the best single modality ({delta})",
        "harms": f"fusion harms: {delta} against the best single modality",
        "unknown": "what fusion adds has no interval",
    }[claim.reading]


def _obstacle(obstacle: Obstacle, evidence: Evidence) -> str:
    about = ", ".join(obstacle.about)
    metric = _headline(evidence).heading
    return {
        "audit": f"the audit found what takes the meaning from the numbers ({about})",
        "above_literature": "results are better than published work supports, so look for what "
        "gives the outcome away first",
        "label_matched": f"images and clinical rows are not of the same person (linkage "
        f"{evidence.run.linkage})",
        "synthetic": "the cohort is synthetic",
        "few_events": f"{about} in the rarer class, fewer than the {FEWEST} that intervals were "
        "checked with",
        "undefined": f"{about} has no {metric} with an interval",
        "floor": f"{about}, which knows nothing, does as well as the best arm",
        "chance": f"{about} does not measurably rank better than chance",
    }[obstacle.name]


def _calibrated(claim: CalibrationClaim) -> str:
    return " and ".join(READINGS[reading] for reading in claim.readings)


def _calibration(claim: CalibrationClaim) -> str:
    if claim.readings == ("unknown",):
        return f"{_calibrated(claim)} ({claim.arm})"
    return (
        f"{_calibrated(claim)} (slope {with_interval(claim.slope, 2)}, intercept "
        f"{with_interval(claim.level, 2)}, {claim.arm})"
    )


def _audited(evidence: Evidence) -> str:
    found = evidence.verdict.audit
    if found is None:
        return "no audit was made"
    if not found.fired:
        return "audit silent"
    return f"{found.fired} of {found.looked} checks of the audit fired"


def _audit(evidence: Evidence) -> str:
    found = evidence.verdict.audit
    if found is None:
        return "not made"
    if found.grave:
        return f"the numbers mean nothing until this is resolved: {'; '.join(found.grave)}"
    if not found.fired:
        return f"silent, {found.looked} checks looked"
    return f"{found.fired} of {found.looked} checks fired"
