"""What a run on times to an event says to TRIPOD+AI where other kinds say something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from featurestore.tables import OUTCOME_STAGE
from fusion.evidence.spans import span
from fusion.evidence.survival import SurvivalEvidence
from fusion.report import sentences, tripod
from fusion.report.numbers import with_interval
from fusion.report.survival import tables
from fusion.report.survival.card import calibration_sentences, chosen_arm, output
from fusion.report.tripod_answers import FILLED, Answer, partly
from fusion.report.tripod_results import over_sites


def _dates(e: SurvivalEvidence) -> Answer:
    """Item 5b."""
    f, known = e.follow_up, sentences.years(e)
    median = f.median.value
    followed = (
        f"median follow-up {span(median)} (reverse Kaplan–Meier), longest {span(f.longest)}"
        if median == median
        else f"longest follow-up {span(f.longest)}"
    )
    return partly(f"{known + '; ' if known else ''}{followed}", "start and end of accrual")


def _sample_size(e: SurvivalEvidence) -> Answer:
    """Item 10."""
    return partly(
        f"{e.run.n_patients:,} patients, {e.follow_up.events:,} with the event in "
        f"{e.follow_up.days_observed / 365.25:,.0f} patient years",
        "how the size was arrived at",
    )


def _partition(e: SurvivalEvidence) -> Answer:
    """Item 12a."""
    return Answer(
        FILLED,
        f"{sentences.split(e)}. Folds were frozen before anything was fitted (digest "
        f"{e.run.folds_digest[:12]}); every prediction is out-of-fold. Models are fitted on the "
        "outer training part alone; inner parts of it serve "
        f"{sentences.inner_steps(e, 'cuts of risk groups')}.",
    )


def _building(e: SurvivalEvidence) -> Answer:
    """Item 12c."""
    models = ", ".join(dict.fromkeys(a.model for a in e.arms if a.kind == "arm"))
    return partly(
        " ".join(
            [
                f"models: {models}.",
                *sentences.building(e),
                "Internal validation by the outer folds. Settings that were chosen stand in "
                "work/choices.json",
            ]
        ),
        "why these models",
    )


def _measures(e: SurvivalEvidence) -> Answer:
    """Item 12e."""
    at = f"at {' and '.join(map(span, e.horizons))}: " if e.horizons else ""
    horizons = (
        f"; {at}AUC, Brier score, observed over predicted risk, calibration intercept and slope, "
        "net benefit at the observed risk, calibration plots and decision curves"
        if e.horizons
        else ""
    )
    integrated = ", integrated Brier score" if "integrated_brier" in e.arms[0].metrics else ""
    competing = (
        " Where events compete, concordance and AUC in their cause-specific version and in that of "
        "the incidence."
        if e.competing
        else ""
    )
    return Answer(
        FILLED,
        f"Uno's and Harrell's concordance within folds and pooled{integrated}; restricted mean "
        f"time without an event between risk groups{horizons}. Metrics are supported up to "
        f"{span(e.follow_up.last)}.{competing} Arms are compared by paired differences over "
        f"{e.bootstrap_draws:,} shared bootstrap draws of patients, with Holm's adjustment.",
    )


def _calculation(e: SurvivalEvidence) -> Answer:
    """Item 12g."""
    mean = (
        "the mean over the patient's images of the log hazard ratio"
        if e.used.embeddings and e.used.several_images
        else "the log hazard ratio"
    )
    return Answer(
        FILLED,
        f"A patient's score is {mean}, and the risk by each horizon, from a model fitted on other "
        f"patients. Command: {e.run.command}",
    )


def _imbalance(e: SurvivalEvidence) -> Answer:
    """Item 13."""
    return Answer(
        FILLED, "Nothing was done: models of times see events and censored patients as they are."
    )


def _output(e: SurvivalEvidence) -> Answer:
    """Item 15."""
    return Answer(FILLED, output(e))


def _flow(e: SurvivalEvidence) -> Answer:
    """Item 20a."""
    left = sum(step.n for step in e.flow if step.entity == "patient")
    unknown = sentences.by_outcome(e)
    count = sum(s.n for s in e.flow if s.entity == "patient" and s.stage == OUTCOME_STAGE)
    reasons = f", {count:,} of them because their outcome is not known: {unknown}" * bool(count)
    f = e.follow_up
    competing = f", {f.competing:,} with a competing event" if f.competing else ""
    late = f"; {f.late:,} came under observation only after time zero" if f.late else ""
    median = f.median.value
    followed = f"; median follow-up {span(median)}" if median == median else ""
    return Answer(
        FILLED,
        f"{e.run.n_patients:,} patients studied, {f.events:,} with the event{competing}, "
        f"{f.censored:,} censored{late}{followed}; {left:,} patients left out{reasons}.",
    )


def _participants(e: SurvivalEvidence) -> Answer:
    """Item 21."""
    sizes = e.per_fold.loc[e.per_fold["arm"] == e.baseline, ["n", "events"]]
    low, high = sizes.min(), sizes.max()
    return Answer(
        FILLED,
        f"Every arm: {chosen_arm(e).n:,} patients, {chosen_arm(e).events:,} events. Each outer "
        f"fold tests {low['n']} to {high['n']} patients with {low['events']} to {high['events']} "
        "events and trains, tunes and chooses on the others.",
    )


def _performance(e: SurvivalEvidence) -> Answer:
    """Item 23a."""
    arm = chosen_arm(e)
    said = [f"{e.baseline}: C {with_interval(tables.found(arm, tables.HEADLINE))}"]
    if "integrated_brier" in arm.metrics:
        said.append(f"integrated Brier score {with_interval(arm.metrics['integrated_brier'])}")
    calibrated = " ".join(calibration_sentences(e))
    return Answer(
        FILLED,
        f"{', '.join(said)}. {calibrated} All arms in the ablation table.".replace("  ", " "),
    )


def _heterogeneity_results(e: SurvivalEvidence) -> Answer:
    """Item 23b."""
    return over_sites(e, e.per_fold, tables.HEADLINE, "C")


def _interpretation(e: SurvivalEvidence) -> Answer:
    """Item 25."""
    return partly(
        "ΔC to the baseline with interval and Holm's p in the ablation table"
        + (
            f"; {len(e.fusion_gain)} comparisons of all modalities with one"
            if e.fusion_gain
            else ""
        ),
        "what this means beside earlier studies",
    )


OWN: Mapping[str, Callable[[SurvivalEvidence], Answer]] = {
    "5b": _dates,
    "10": _sample_size,
    "12a": _partition,
    "12c": _building,
    "12e": _measures,
    "12g": _calculation,
    "13": _imbalance,
    "15": _output,
    "20a": _flow,
    "21": _participants,
    "23a": _performance,
    "23b": _heterogeneity_results,
    "25": _interpretation,
}
ANSWERS: Mapping[str, Callable[[Any], Answer]] = {**tripod.ANSWERS, **OWN}
"""Items that the run answers, wholly or in part."""
