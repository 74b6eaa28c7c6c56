"""Tables of intervals: which one each arm has, and what each kind is."""

from __future__ import annotations

from collections.abc import Iterable

from fusion.evidence import BinaryEvidence
from fusion.evidence.intervals import KINDS, IntervalFacts
from fusion.report.intervals import coverage, headline, kind_name
from fusion.report.numbers import NOTHING, with_interval
from fusion.report.tables import TextTable


def by_arm(evidence: BinaryEvidence) -> TextTable:
    """One line an arm: AUROC pooled and averaged over folds, its interval and coverage."""
    rows = tuple(
        (
            arm.arm,
            kind_name(area, evidence.run.counted.drawn),
            coverage(KINDS[area.method].arm_coverage) if area.low < area.high else NOTHING,
            with_interval(area),
            with_interval(arm.fold_averaged),
            with_interval(arm.delong) if arm.kind != "floor" else NOTHING,
        )
        for arm in evidence.arms
        for area in [arm.metrics["auroc"]]
        if area.method in KINDS
    )
    return TextTable(
        f"{headline()} Coverage: in which share of simulated studies the 95 % interval of "
        "an AUROC held the truth, lowest and highest setting. DeLong's interval is secondary: it "
        "assumes fixed models on independent test data.",
        ("arm", "interval", "simulated coverage", "AUROC, pooled [95 % CI]",
         "AUROC, mean over folds [95 % CI]", "AUROC [95 % CI, DeLong]"),
        rows,
        text_columns=3,
    )  # fmt: skip


def kinds(facts: Iterable[IntervalFacts]) -> TextTable:
    """What each kind of interval is."""
    rows = tuple(
        (
            one.name,
            one.text,
            one.simulated or "nothing",
            coverage(one.arm_coverage) + _short(one, 0),
            coverage(one.difference_coverage) + _short(one, 1),
        )
        for one in facts
    )
    return TextTable(
        "What the intervals are, and how often they held the truth in simulations of whole "
        "pipelines. Differences of AUROC have intervals of the same standard error as their p.",
        ("interval", "what it is", "simulated", "coverage, AUROC", "coverage, difference"),
        rows,
        text_columns=3,
    )


def _short(facts: IntervalFacts, which: int) -> str:
    """How many settings were covered in less than 93 %; nothing where none was."""
    few, of = (0, 0) if facts.short_of is None else facts.short_of[which]
    return f" (under 93 % in {few} of {of} settings)" if few else ""
