"""What a report on times to an event says in words: its header and how the numbers were made."""

from __future__ import annotations

from fusion.evidence.spans import span
from fusion.evidence.survival import SurvivalEvidence
from fusion.report.intervals import sentence
from fusion.report.numbers import number
from fusion.report.sentences import preparation_of_columns
from fusion.report.survival.tables import headline

FLOORS = {
    "kaplan_meier": "Floor: `kaplan_meier` gives everyone the Kaplan–Meier curve (the incidence, "
    "where events compete) of the training part.",
    "permuted_labels": "Floor: `permuted_labels` fits on exchanged pairs of time and event and "
    "should reach 0.5.",
}


def patients(e: SurvivalEvidence) -> str:
    """Who was studied and what became of them."""
    f = e.follow_up
    competing = f", {f.competing:,} with a competing event" if f.competing else ""
    median = f.median.value
    followed = f"; median follow-up {span(median)}" if median == median else ""
    return f"{e.run.n_patients:,}, {f.events:,} with the event{competing}{followed}"


def summary(e: SurvivalEvidence) -> str:
    """The same in a few words."""
    f = e.follow_up
    competing = f", {f.competing} competing" if f.competing else ""
    return f"{e.run.n_patients} patients, {f.events} events{competing}"


def best(e: SurvivalEvidence) -> tuple[str, str] | None:
    """Concordance that no predictor can be expected to beat, where the cohort knows it."""
    value = e.run.facts.get("oracle_c")
    return None if value is None else ("Oracle C", number(value))


def interval_note(e: SurvivalEvidence) -> str:
    """Which intervals stand in the report, and how often that of a C held the truth."""
    return sentence(e, "uno_c", "C")


def intervals(e: SurvivalEvidence) -> str:
    """How intervals are made, from the kinds that stand in the report."""
    kinds = " ".join(
        f"{facts.name[0].upper()}{facts.name[1:]}: {facts.text}" for facts in e.intervals
    )
    return (
        f"{interval_note(e)} {kinds} Differences are paired under the shared draws. "
        "Weights of censoring are estimated anew in every draw. p values are two-sided and "
        "adjusted by Holm over all arms."
    )


def methods(e: SurvivalEvidence) -> list[str]:
    """How folds, intervals, weights and differences were made, a sentence each."""
    folds = "; patients who share a copied image stay together" if e.run.n_images else ""
    prepared = preparation_of_columns(e)
    horizons = ", ".join(span(h.days) for h in e.follow_up.horizons)
    lines = [
        f"Outer folds are stratified by whether the event was seen{folds}, and were frozen before "
        "anything was fitted. All that is fitted saw the outer training part only"
        f"{': ' + '; '.join(prepared) if prepared else ''}.",
        "A score is a log hazard ratio; risks are the probability of the event by "
        f"{horizons}. {headline(e)} It is computed on the out-of-fold predictions of a "
        "repeat and averaged over repeats.",
        intervals(e),
        "Censoring is weighed by its inverse probability, from the training part of the model that "
        "scored a patient, kept at 0.05 where it falls below (Uno et al. 2011; Blanche et al. "
        f"2013; Graf et al. 1999). Metrics are supported up to {span(e.follow_up.last)}, while ten "
        "patients are under observation.",
        "Risk groups are cut on inner data of each fold, never on outer test patients; they are "
        "compared by the area between their event-free curves in the first "
        f"{span(e.follow_up.until)} (Royston & Parmar 2013).",
        "Calibration at a horizon: observed over mean predicted risk, and intercept and slope of "
        "the known states on the complementary log-log of the risk, weighed for censoring. "
        "Ideal: 1, 0 and 1.",
        *(FLOORS[arm.model] for arm in e.arms if arm.model in FLOORS),
    ]
    if e.follow_up.late:
        lines.append(
            "Patients are at risk from when they came under observation; risks are those given no "
            "event before."
        )
    if e.competing:
        lines.append(
            "An event competes: risks are cumulative incidences, observed ones are those of Aalen "
            "and Johansen; concordance is of the cause-specific hazard, which a competing event "
            "censors."
        )
    return lines
