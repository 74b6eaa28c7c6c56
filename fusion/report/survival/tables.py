"""Tables of a report on times to an event, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fusion.evidence import Arm, Estimate
from fusion.evidence.spans import span
from fusion.evidence.survival import SurvivalArm, SurvivalEvidence, at
from fusion.report.numbers import NOTHING, number, p_value, with_interval
from fusion.report.survival import time_ladder
from fusion.report.tables import BASELINE, TextTable, tidy_metrics, verdict

HEADLINE = "uno_c"
CONCORDANCES = {
    "uno_c": "Uno's C, within folds",
    "harrell_c": "Harrell's C, within folds",
    "uno_c_pooled": "Uno's C, pooled",
    "harrell_c_pooled": "Harrell's C, pooled",
    "uno_c_incidence": "Uno's C of the incidence, within folds",
}
UNDEFINED = Estimate(float("nan"), float("nan"), float("nan"))


def concordances(e: SurvivalEvidence) -> TextTable:
    """Every version of the concordance."""
    names = [name for name in CONCORDANCES if name in e.arms[0].metrics]
    return TextTable(
        "Concordance in its versions. Uno's weighs by the inverse probability of censoring and "
        f"counts events up to {span(e.follow_up.until)}; Harrell's counts all, and its limit "
        "depends on the censoring. Pooled ones compare patients of all folds, whose models have no "
        "common level: where they differ much from those within folds, that is why."
        + (
            " A competing event censors, as it does for a cause-specific hazard; in the version of "
            "the incidence its patients are ranked behind all events."
            if e.competing
            else ""
        ),
        ("arm", *(f"{CONCORDANCES[name]} [95 % CI]" for name in names)),
        tuple((arm.arm, *(with_interval(found(arm, name)) for name in names)) for arm in e.arms),
    )


def gains(e: SurvivalEvidence) -> TextTable:
    """What fusion adds to each single modality."""
    return TextTable(
        "C of the model on all modalities minus that of the same model on one; paired.",
        ("all modalities", "single modality", "ΔC [95 % CI]", "p", "p Holm", "reading"),
        tuple(
            (
                g.fused_arm,
                g.single_arm,
                with_interval(g.delta, sign=True),
                p_value(g.p),
                p_value(g.p_holm),
                verdict(g),
            )
            for g in e.fusion_gain
        ),
        text_columns=2,
    )


def brier_differences(e: SurvivalEvidence) -> TextTable:
    """Differences in the integrated Brier score."""
    rows = tuple(
        (
            arm.arm,
            with_interval(arm.metrics["integrated_brier"]),
            with_interval(arm.differences["integrated_brier"].estimate, sign=True),
            *p_values(arm, "integrated_brier"),
        )
        for arm in e.arms
        if "integrated_brier" in arm.differences
    )
    return TextTable(
        f"Brier score, mean over the time from {span(e.horizons[0])} to {span(e.horizons[-1])}, "
        f"and its difference to {e.baseline}, paired. Lower is better."
        if rows
        else "",
        ("arm", "integrated Brier [95 % CI]", "difference [95 % CI]", "p", "p Holm"),
        rows,
    )


def at_horizons(e: SurvivalEvidence) -> TextTable:
    """AUC and Brier score of every arm at every horizon."""
    competing = e.competing
    rows = tuple(
        (
            arm.arm,
            span(days),
            with_interval(found(arm, at("auc", days))),
            *([with_interval(found(arm, at("auc_cause_specific", days)))] if competing else []),
            with_interval(found(arm, at("brier", days))),
        )
        for arm in e.arms
        for days in e.horizons
    )
    specific = ("cause-specific AUC [95 % CI]",) if competing else ()
    return TextTable(
        "AUC: who has the event by the horizon against who is known to be free of it then, of one "
        "fold; Brier score of the predicted risk; both weighted by the inverse probability of "
        "censoring."
        + (
            " Who had a competing event is free of the event; in the cause-specific version it "
            "censors."
            if competing
            else ""
        ),
        ("arm", "horizon", "AUC [95 % CI]", *specific, "Brier [95 % CI]"),
        rows,
        text_columns=2,
    )


def calibration(e: SurvivalEvidence) -> TextTable:
    """Whether predicted risks are the observed ones."""
    rows = tuple(
        (
            arm.arm,
            span(days),
            with_interval(found(arm, at("observed_over_expected", days)), 2),
            with_interval(found(arm, at("calibration_intercept", days)), 2),
            with_interval(found(arm, at("calibration_slope", days)), 2),
        )
        for arm in e.arms
        for days in e.horizons
    )
    estimator = "Aalen–Johansen" if e.competing else "Kaplan–Meier"
    return TextTable(
        f"Observed over mean predicted risk by each horizon (observed by {estimator}; ideal 1, "
        "above it risk is underestimated), and intercept (slope held at 1; ideal 0) and slope "
        "(ideal 1) on the scale of log(−log) of the risk.",
        ("arm", "horizon", "observed/expected [95 % CI]", "intercept [95 % CI]",
         "slope [95 % CI]"),
        rows,
        text_columns=2,
    )  # fmt: skip


def net_benefit(e: SurvivalEvidence) -> TextTable:
    """Net benefit at the observed risk of each horizon."""
    rows = tuple(
        (arm.arm, span(h.days), number(h.threshold, 2),
         with_interval(found(arm, at("net_benefit", h.days))))
        for arm in e.arms
        for h in e.follow_up.horizons
        if not h.beyond
    )  # fmt: skip
    return TextTable(
        "Net benefit of treating from a predicted risk on, with censoring (Vickers et al. 2008). "
        "The threshold is the observed risk, where treating all and treating nobody are both "
        "worth 0.",
        ("arm", "horizon", "threshold", "net benefit [95 % CI]"),
        rows,
        text_columns=2,
    )


def follow_up(e: SurvivalEvidence) -> TextTable:
    """How long the patients were followed."""
    f = e.follow_up
    median = f.median
    bounds = (
        ""
        if median.low != median.low
        else f" [{span(median.low)} to {span(median.high) if median.high == median.high else '…'}]"
    )
    rows = [
        ("patients", f"{f.patients:,}"),
        ("with the event", f"{f.events:,}"),
        *([("with a competing event", f"{f.competing:,}")] if f.competing else []),
        ("censored", f"{f.censored:,}"),
        *([("under observation only after time zero", f"{f.late:,}")] if f.late else []),
        (
            "median follow-up (reverse Kaplan–Meier) [95 % CI]",
            (span(median.value) + bounds) if median.value == median.value else "not reached",
        ),
        ("longest follow-up", span(f.longest)),
        ("time under observation", f"{f.days_observed / 365.25:,.0f} patient years"),
        (
            "events per 100 patient years",
            number(100 * f.events / (f.days_observed / 365.25), 1),
        ),
        ("metrics are supported until", span(f.last)),
    ]
    return TextTable(
        "Follow-up of the patients that were predicted. Metrics are supported while at least ten "
        "of them are under observation and the probability of not being censored is at least 0.05 "
        "in every training part; beyond that time none is printed.",
        ("what", "value"),
        tuple(rows),
    )


def by_horizon(e: SurvivalEvidence) -> TextTable:
    """What was seen by each horizon."""
    rows = tuple(
        (
            span(h.days),
            f"{h.at_risk:,}",
            f"{h.events:,}",
            *([f"{h.competing:,}"] if e.competing else []),
            f"{h.censored:,}",
            with_interval(h.observed),
            h.beyond or "yes",
        )
        for h in e.follow_up.horizons
    )
    estimator = "Aalen–Johansen" if e.competing else "1 − Kaplan–Meier"
    return TextTable(
        f"Patients under observation at each horizon, and what became of them by then. Observed "
        f"risk by {estimator}, its interval for these patients alone.",
        (
            "horizon",
            "at risk",
            "events",
            *(["competing"] if e.competing else []),
            "censored before",
            "observed risk [95 % CI]",
            "metrics",
        ),
        rows,
    )


def risk_groups(e: SurvivalEvidence) -> TextTable:
    """Who is in the baseline's risk groups, and what became of them."""
    found = e.risk_groups
    rows = tuple(
        (
            group_name(k, len(found.groups)),
            f"{group.n:.0f}",
            f"{group.events:.0f}",
            *(f"{n:.0f}" for n in group.at_risk),
        )
        for k, group in enumerate(found.groups)
    )
    return TextTable(
        f"Risk groups of {found.arm}, cut on inner data of each fold; a patient counts for the "
        "share of repeats in which he is in a group. At risk after so long:",
        ("group", "n", "events", *(span(days) if days else "start" for days in found.ticks)),
        rows,
    )


def per_fold(e: SurvivalEvidence) -> TextTable:
    """Concordance of every arm and fold."""
    table = e.per_fold
    names = [name for name in ("uno_c", "harrell_c") if name in table]
    rows = tuple(
        (*map(str, words[:5]), *(number(value) for value in words[5:]))
        for words in table[
            ["arm", "repeat", "fold", "n", "events", *names]
        ].itertuples(index=False, name=None)
    )  # fmt: skip
    headings = {"uno_c": "Uno's C", "harrell_c": "Harrell's C"}
    columns = ("arm", "repeat", "fold", "n", "events", *(headings[name] for name in names))
    return TextTable("Every outer fold by itself.", columns, rows)


def tidy(e: SurvivalEvidence) -> dict[str, pd.DataFrame]:
    """Tables for machines: every metric with its horizon in days, and follow-up by horizon."""
    metrics = tidy_metrics(e)
    parts = metrics["metric"].str.split("_at_", n=1, expand=True)
    metrics["metric"] = parts[0]
    days = parts[1] if 1 in parts else pd.Series(None, index=metrics.index, dtype=object)
    metrics.insert(5, "horizon_days", days.astype(float))
    followed = pd.DataFrame(
        [
            {
                "horizon_days": h.days,
                "at_risk": h.at_risk,
                "events": h.events,
                "competing": h.competing,
                "censored": h.censored,
                "observed_risk": h.observed.value,
                "low": h.observed.low,
                "high": h.observed.high,
                "supported": not h.beyond,
            }
            for h in e.follow_up.horizons
        ]
    )
    climbed = e.time_ladder
    ladder = {} if climbed is None else {"time_ladder.csv": time_ladder.tidy(climbed)}
    return {"metrics.csv": metrics, "follow_up.csv": followed, **ladder}


def headline(e: SurvivalEvidence) -> str:
    """What C is in this report, and why."""
    return (
        f"C is Uno's concordance of events up to {span(e.follow_up.until)}, of pairs of patients "
        "of one fold: scores of the models of two folds have no common level, so that a pair "
        "across folds compares models and not patients."
    )


def found(arm: Arm, name: str) -> Estimate:
    """A metric of an arm; an undefined one where follow-up supports none."""
    return arm.metrics.get(name, UNDEFINED)


def difference(arm: Arm, digits: int = 3) -> str:
    """ΔC to the baseline, or the word for the baseline itself."""
    if not arm.differences:
        return BASELINE
    return with_interval(arm.differences[HEADLINE].estimate, digits, sign=True)


def gap(estimate: Estimate) -> str:
    """Days between risk groups, in months."""
    month = 365.25 / 12
    shown = Estimate(estimate.value / month, estimate.low / month, estimate.high / month)
    text = with_interval(shown, 1, sign=True)
    return text if text == NOTHING else f"{text} months"


def group_name(place: int, groups: int) -> str:
    """Name of a risk group for people."""
    if groups == 1:
        return "all"
    words: Sequence[str] = {2: ("low", "high"), 3: ("low", "middle", "high")}.get(groups, ())
    if words:
        return words[place]
    ends = {0: "lowest", groups - 1: "highest"}
    return ends.get(place, f"group {place + 1}")


def has_integrated(e: SurvivalEvidence) -> bool:
    """Whether several horizons are supported, so that the Brier score has a mean over time."""
    return "integrated_brier" in e.arms[0].metrics


def p_values(arm: SurvivalArm, metric: str) -> tuple[str, str]:
    """P of a difference, before and after Holm."""
    if metric not in arm.differences:
        return NOTHING, NOTHING
    tested = arm.differences[metric]
    return p_value(tested.p), p_value(tested.p_holm)
