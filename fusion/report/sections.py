"""Sections of the report on outcomes that are there or not, behind the ablation.

A section is shown where it has something to show. A new one is a function and a line in `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from featurestore.units import worded
from fusion.evaluation.sensitivity import COMPLETE, IMPUTATIONS, IMPUTED, PLAIN
from fusion.evidence import BinaryEvidence
from fusion.evidence.subgroups import LEAST
from fusion.report.interval_tables import by_arm, kinds
from fusion.report.numbers import p_value, with_interval
from fusion.report.shared_sections import (
    Section,
    Terms,
    explanation,
    group_losses,
    learning_curve,
    pictures,
    reference,
    subgroups,
    tuning,
)
from fusion.report.tables import TextTable

TERMS = Terms(
    metric="AUROC",
    error="Brier",
    unit="log odds",
    ratio="odds ratio",
    regression="logistic regression",
    of_column="AUROC",
    parts=(("auroc", "AUROC"), ("brier", "Brier"), ("calibration_intercept", "intercept")),
    parts_note=f"no number where fewer than {LEAST} {{patients}} have, or do not have, the "
    "outcome. Above 0 the intercept says that risk is underestimated.",
)

WHAT_ANALYSES_ARE = {
    COMPLETE: (
        "Complete cases: fitted on, and here both scored among, the {patients} whose columns of "
        "the clinical reference are all known."
    ),
    PLAIN: (
        "Without indicators: a missing value is its training median (a missing category no level), "
        "and nothing says that it was missing."
    ),
    IMPUTED: (
        f"Multiple imputation: fitted on {IMPUTATIONS} imputations by chained equations, drawn "
        "inside each training part from the columns of the arm and without the outcome; their log "
        "odds are averaged. Expression is not imputed, and the interval is that of the averaged "
        "score."
    ),
}


def sections(evidence: BinaryEvidence) -> list[Section]:
    """All sections that have a row to show."""
    made = [section(evidence) for section in SECTIONS]
    return [section for section in made if any(table.rows for table in section.tables)]


def _intervals(evidence: BinaryEvidence) -> Section:
    return Section("intervals", "Intervals", (by_arm(evidence), kinds(evidence.intervals)))


def _differences(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (
            arm.arm,
            with_interval(arm.differences["auprc"].estimate, sign=True),
            p_value(arm.differences["auprc"].p_holm),
            with_interval(arm.differences["brier"].estimate, sign=True),
            p_value(arm.differences["brier"].p_holm),
        )
        for arm in evidence.arms
        if arm.differences
    )
    table = TextTable(
        f"Differences to {evidence.baseline}, paired, with Holm's adjustment over the arms of "
        "each metric. A lower Brier score is better.",
        ("arm", "ΔAUPRC [95 % CI]", "p Holm", "ΔBrier [95 % CI]", "p Holm"),
        rows,
    )
    return Section("differences", "Differences in AUPRC and Brier", (table,))


def _sensitivity(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (
            one.arm,
            one.analysis,
            str(one.n),
            str(one.events),
            with_interval(one.shown),
            with_interval(one.auroc),
            with_interval(one.change, sign=True),
            p_value(one.p),
        )
        for one in evidence.sensitivity
    )
    made = dict.fromkeys(one.analysis for one in evidence.sensitivity)
    said = " ".join(worded(WHAT_ANALYSES_ARE[name], evidence.noun) for name in made)
    table = TextTable(
        f"The same arms and folds, with missing values handled in another way. {said} Where a "
        "change is sure, what is missing says something by itself, or fills in for something.",
        (
            "arm",
            "analysis",
            "n",
            "events",
            "AUROC as in the ablation [95 % CI]",
            "AUROC of the analysis [95 % CI]",
            "change [95 % CI]",
            "p",
        ),
        rows,
        text_columns=2,
    )
    return Section("sensitivity", "Sensitivity to missing values", (table,))


def _matched(evidence: BinaryEvidence) -> Section:
    found = evidence.matched
    rows = (
        ()
        if found is None
        else tuple(
            (r.arm, with_interval(r.everyone), with_interval(r.concordance)) for r in found.results
        )
    )
    caption = (
        ""
        if found is None
        else f"{found.pairs} pairs of a {evidence.noun.one} with and one without the outcome whom "
        f"the clinical reference ({found.basis}) rates alike out of fold: at most "
        f"{found.caliper:g} standard deviations of its log odds apart. {found.eligible} "
        f"{evidence.noun.many} with the outcome could have been paired. Within-pair concordance is "
        f"the share of pairs whose {evidence.noun.one} with the outcome "
        "has the higher score, as AUROC is of all pairs. The reference has about 0.5 because it "
        "made the pairs, and no interval; what an arm has above it, it adds to the reference. "
        "Intervals take the pairs as they were matched."
    )
    table = TextTable(
        caption,
        ("arm", "AUROC, all with these columns [95 % CI]", "concordance within pairs [95 % CI]"),
        rows,
    )
    return Section("matched", "Added value over the clinical reference", (table,))


SECTIONS: tuple[Callable[[BinaryEvidence], Section], ...] = (
    _intervals,
    _differences,
    partial(group_losses, terms=TERMS),
    partial(learning_curve, terms=TERMS),
    _sensitivity,
    partial(reference, terms=TERMS),
    _matched,
    partial(subgroups, terms=TERMS),
    partial(explanation, terms=TERMS),
    partial(pictures, terms=TERMS),
    partial(tuning, terms=TERMS),
)
