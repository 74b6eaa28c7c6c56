"""The ablation of times to an event: what is compared, and what stands behind it."""

from __future__ import annotations

from fusion.evidence.spans import span
from fusion.evidence.survival import SurvivalEvidence, at
from fusion.report.numbers import number, with_interval
from fusion.report.survival.tables import (
    HEADLINE,
    difference,
    found,
    gap,
    has_integrated,
    headline,
    p_values,
)
from fusion.report.tables import TextTable, arm_marks, named_model, seen


def arms(e: SurvivalEvidence) -> TextTable:
    """One line an arm with what is compared, the best first; the last horizon stands for all."""
    last, integrated = e.horizons[-1:], has_integrated(e)
    rows = tuple(
        (
            named_model(arm),
            with_interval(found(arm, HEADLINE)),
            difference(arm),
            p_values(arm, HEADLINE)[1],
            *([number(found(arm, "integrated_brier").value)] if integrated else []),
            *(number(found(arm, at("auc", days)).value) for days in last),
            *(number(found(arm, at("observed_over_expected", days)).value, 2) for days in last),
        )
        for arm in e.arms
    )
    first = e.arms[0]
    return TextTable(
        f"All arms on the same {first.n:,} patients ({first.events:,} events) and folds, the best "
        f"first. {headline(e)} Intervals: {e.bootstrap_draws:,} draws of a bootstrap over "
        f"patients, shared by all arms. ΔC is taken against {e.baseline}.",
        (
            "arm",
            "C [95 % CI]",
            "ΔC [95 % CI]",
            "p Holm",
            *(["integrated Brier"] if integrated else []),
            *(f"AUC, {span(days)}" for days in last),
            *(f"O/E, {span(days)}" for days in last),
        ),
        rows,
        details=seen(e),
        marks=arm_marks(e),
        narrow=3,
        keys=tuple(arm.arm for arm in e.arms),
    )


def every_metric(e: SurvivalEvidence) -> TextTable:
    """One line an arm with what the first table leaves out."""
    rows = tuple(
        (
            arm.arm,
            str(arm.n),
            str(arm.events),
            *(number(found(arm, at("auc", days)).value) for days in e.horizons),
            *(number(found(arm, at("brier", days)).value) for days in e.horizons),
            gap(found(arm, "restricted_mean_gap")),
            p_values(arm, HEADLINE)[0],
            number(arm.tie_width),
        )
        for arm in e.arms
    )
    return TextTable(
        "Risk groups apart: by how much longer patients of the lowest risk group stay without an "
        f"event than those of the highest, of the first {span(e.follow_up.until)}. p is that of ΔC "
        f"before adjustment. A gap in C to {e.baseline} is a tie below the width of the last "
        "column, by the spread over folds.",
        (
            "arm",
            "n",
            "events",
            *(f"AUC, {span(days)}" for days in e.horizons),
            *(f"Brier, {span(days)}" for days in e.horizons),
            "risk groups apart [95 % CI]",
            "p",
            "tie below",
        ),
        rows,
        keys=tuple(arm.arm for arm in e.arms),
        stacked=True,
    )
