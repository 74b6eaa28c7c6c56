"""What a reader must know before any number of a time to an event: one function a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fusion.evaluation import TimeLadder
from fusion.evaluation.time_rungs import CLEARED, FROM_ZERO, HAD_EVENT
from fusion.evidence.findings import contradictions, no_gain, ranked, shared_problems
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.reference_model import ReferenceModel
from fusion.evidence.spans import span
from fusion.evidence.survival.follow_up import FollowUp
from fusion.evidence.survival.hazards import ProportionalScore
from fusion.evidence.survival.measures import INTEGRATED_BRIER
from fusion.evidence.survival.types import SurvivalArm
from fusion.evidence.types import Finding, Gain
from fusion.metrics import Estimate

FEW_EVENTS = 50
"""Events below which intervals of a concordance are wider than what arms differ by: a standard
error of about 0.04 for a concordance of 0.65."""

VERY_FEW_EVENTS = 20
NOT_PROPORTIONAL = 0.05
CHANCE = 0.5
IGNORANT = "kaplan_meier"
"""Model that gives everyone the same curve."""


def find_problems(
    inputs: ReportInputs,
    groups: Mapping[str, str],
    arms: Sequence[SurvivalArm],
    gains: Sequence[Gain],
    followed: FollowUp,
    proportional: ProportionalScore | None,
    clinical: ReferenceModel | None,
) -> tuple[Finding, ...]:
    """Collects all findings, sorted by level."""
    return ranked(
        [
            *shared_problems(inputs.run, inputs.cohort, groups, arms, inputs.audit),
            *_few_events(followed),
            *_short(followed),
            *_below_chance(arms),
            *_no_better(arms),
            *no_gain(gains, "ΔC"),
            *_late(followed),
            *_time_zero(inputs.time_ladder),
            *_not_proportional(proportional),
            *contradictions(clinical, "Harrell's C", "hazard ratio"),
        ]
    )


def _few_events(followed: FollowUp) -> Iterator[Finding]:
    if followed.events < FEW_EVENTS:
        few = followed.events < VERY_FEW_EVENTS
        yield Finding(
            "warning" if few else "note",
            f"Few events: {followed.events} of {followed.patients} patients have the event. What "
            "is known of a concordance grows with events, not with patients.",
        )


def _short(followed: FollowUp) -> Iterator[Finding]:
    beyond = [h for h in followed.horizons if h.beyond]
    for horizon in beyond:
        yield Finding(
            "warning",
            f"No metric is printed at {span(horizon.days)}: {horizon.beyond} "
            f"({span(followed.last)}; {horizon.at_risk} patients are under observation there).",
        )
    median = followed.median.value
    longest = max((h.days for h in followed.horizons if not h.beyond), default=0.0)
    if median < longest:
        yield Finding(
            "note",
            f"Short follow-up: its median is {span(median)}, and risks are judged at "
            f"{span(longest)}: less than half of the patients would have been seen that long.",
        )


def _below_chance(arms: Sequence[SurvivalArm]) -> Iterator[Finding]:
    """Below one half; above is a check of the audit."""
    for arm in arms:
        found = arm.metrics["uno_c"]
        if arm.model == "permuted_labels" and found.high < CHANCE:
            yield Finding(
                "warning",
                f"With permuted times the concordance is {_text(found)}: below 0.5 by more than "
                "its interval allows.",
            )


def _no_better(arms: Sequence[SurvivalArm]) -> Iterator[Finding]:
    """Arms that rank no better than chance, and arms whose risks are no better than one curve."""
    shown = [a for a in arms if a.kind != "floor"]
    ranks = [a for a in shown if not a.metrics["uno_c"].low > CHANCE]
    if ranks:
        names = "; ".join(f"{a.arm} (C {_text(a.metrics['uno_c'])})" for a in ranks)
        yield Finding(
            "warning", f"These arms do not measurably rank patients better than chance: {names}."
        )
    floor = next((a for a in arms if a.model == IGNORANT), None)
    if floor is None or INTEGRATED_BRIER not in floor.metrics:
        return
    one_curve = floor.metrics[INTEGRATED_BRIER].value
    worse = [a for a in shown if a.metrics[INTEGRATED_BRIER].value >= one_curve]
    if worse:
        names = "; ".join(f"{a.arm} ({a.metrics[INTEGRATED_BRIER].value:.3f})" for a in worse)
        yield Finding(
            "warning",
            f"The risks of these arms are no better than one Kaplan–Meier curve for everyone "
            f"(integrated Brier score {one_curve:.3f}): {names}.",
        )


def _late(followed: FollowUp) -> Iterator[Finding]:
    if followed.late:
        yield Finding(
            "note",
            f"{followed.late} of {followed.patients} patients came under observation after time "
            "zero and count from then on; nothing is said of patients whose event came before "
            "they could have been observed.",
        )


def _time_zero(ladder: TimeLadder | None) -> Iterator[Finding]:
    """What counting from before the predictors were known makes of C."""
    climbed = [] if ladder is None else [rung for rung in ladder.rungs if rung.concordance]
    after = [rung for rung in climbed if rung.name == CLEARED]
    if ladder is None or not after or climbed[0].name != FROM_ZERO:
        return
    first, last = climbed[0], after[0]
    told = "; ".join(
        f"{name} {_text(first.concordance[name])} and {_text(last.concordance[name])}"
        for name in first.concordance
    )
    early = last.left_out.get(HAD_EVENT, 0)
    counted = f" {early} of {first.events} events came on or before its day." if early else ""
    yield Finding(
        "warning",
        f"Predictors became known after time zero ({ladder.time_zero}). C from time zero and from "
        f"the specimen: {told}.{counted} See the time ladder.",
    )


def _not_proportional(found: ProportionalScore | None) -> Iterator[Finding]:
    if found is not None and found.p < NOT_PROPORTIONAL:
        yield Finding(
            "note",
            f"Hazards are not proportional in the score of {found.arm} (Grambsch & Therneau's "
            f"test, p {'< 0.001' if found.p < 0.001 else f'= {found.p:.3f}'}): a standard "
            f"deviation of it multiplies the hazard by {found.early:.2f} in the first half of "
            f"events and by {found.late:.2f} in the second. Read AUC over time.",
        )


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}, {estimate.low:.3f} to {estimate.high:.3f}"
