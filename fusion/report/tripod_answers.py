"""What a run can say to items of TRIPOD+AI, a function each; see `fusion.report.tripod`.

Those of results, open science and discussion are in `fusion.report.tripod_results`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from fusion.audit.sample_size import EVENTS_PER_PREDICTOR, EXPECTED_R2
from fusion.evidence import ArmEvidence, BinaryEvidence, Evidence
from fusion.report import sentences
from fusion.report.intervals import sentence
from fusion.report.numbers import number

SITE_CHECK = "site_association"
Status = Literal["filled from the run", "author must fill", "not applicable"]
FILLED: Status = "filled from the run"
AUTHOR: Status = "author must fill"
NOT_APPLICABLE: Status = "not applicable"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What stands beside an item.

    Attributes:
        status: Who fills it.
        text: The answer, or what the author must add to what the run knows.
    """

    status: Status
    text: str


def chosen_arm(evidence: BinaryEvidence) -> ArmEvidence:
    """The arm that the run is about: the one that differences are taken against."""
    return next(a for a in evidence.arms if a.arm == evidence.baseline)


def partly(known: str, missing: str) -> Answer:
    """An item that needs its author: what the run knows, and what to add."""
    known = known.strip()
    end = "" if known.endswith(".") else "."
    return Answer(AUTHOR, f"From the run: {known}{end} To add: {missing}.")


def title(e: Evidence) -> Answer:
    """Item 1."""
    return partly(
        f"development with internal validation of models that predict {e.run.outcome_name} in "
        f"{e.run.counted.text}",
        "name target population and outcome in the title",
    )


def objectives(e: Evidence) -> Answer:
    """Item 4."""
    return partly(
        f"development with internal validation; {e.baseline} against "
        f"{sentences.compared_with(e)}, on the same {e.noun.many} and folds",
        "the question that this answers",
    )


def sources(e: Evidence) -> Answer:
    """Item 5a."""
    read = ", ".join(e.run.analysis.sources) or "not known"
    licences = f"; {'; '.join(e.run.licences)}" if e.run.licences else ""
    linked = f"; images and {e.noun.one} rows linked by: {e.run.linkage}" if e.run.n_images else ""
    return partly(
        f"sources read: {read}{licences}{linked}",
        "study design, why these data, and whom they represent",
    )


def dates(e: Evidence) -> Answer:
    """Item 5b."""
    known = sentences.years(e)
    missing = "start and end of accrual and of follow-up"
    return partly(known, missing) if known else Answer(AUTHOR, f"State {missing}.")


def setting(e: Evidence) -> Answer:
    """Item 6a."""
    sites = e.run.analysis.sites
    known = f"{sites} sites are named in the data" if sites else "no site is named in the data"
    return partly(known, "kind of care, number and location of centres")


def eligibility(e: Evidence) -> Answer:
    """Item 6b."""
    rules = "; ".join(e.run.analysis.eligibility) or f"all {e.noun.many} of the sources"
    unknown, others = sentences.by_outcome(e), sentences.otherwise_left_out(e)
    text = f"Studied: {rules}."
    if unknown:
        text += f" Left out because their outcome is not known: {unknown}."
    if others:
        text += f" Left out for other reasons: {others}."
    return Answer(FILLED, text if unknown or others else f"{text} No {e.noun.one} was left out.")


def preparation(e: Evidence) -> Answer:
    """Item 7."""
    looked = "no audit was made"
    if e.audit is not None:
        count = sum(r.status != "not_applicable" for r in e.audit.results)
        looked = f"{count} audit checks looked for leaks and shortcuts, {len(e.audit.fired)} fired"
    images = "images were decoded, checked and compared for copies; " if e.run.n_images else ""
    return partly(
        f"{images}what was left out stands in the participant flow; {looked}",
        f"whether quality was alike across groups of {e.noun.many}",
    )


def outcome(e: Evidence) -> Answer:
    """Item 8a."""
    return partly(
        f"{e.run.outcome_name}: {e.run.outcome_definition} Predicted as of: {e.run.as_of}. "
        + " ".join(e.run.caveats),
        "how and when it was assessed, and why this outcome",
    )


def predictor_choice(e: Evidence) -> Answer:
    """Item 9a."""
    said = [
        f"the fitted arms looked at {sentences.predictors(e) or 'nothing that is known here'}",
        *sentences.left_aside(e),
    ]
    return partly(". ".join(said), "why these predictors were collected")


def predictor_definition(e: Evidence) -> Answer:
    """Item 9b."""
    known = sentences.measured(e)
    if not known:
        return partly(f"no {e.noun.one} column was used", "how images were taken")
    return partly(
        f"columns become known: {known}; units, levels and original names stand in "
        "export/codebook.csv",
        "how they were measured, and whether blind to the outcome",
    )


def sample_size(e: BinaryEvidence) -> Answer:
    """Item 10."""
    said = [
        hit.text
        for result in (() if e.audit is None else e.audit.results)
        if result.check.name == EVENTS_PER_PREDICTOR
        for hit in result.hits
    ]
    return partly(
        f"{e.run.counted.text}, {e.run.n_events:,} with the outcome. Sizes are judged for "
        f"a Nagelkerke R² of {EXPECTED_R2:g}, which is assumed where nothing is known; "
        f"{e.baseline} has {number(chosen_arm(e).explained)} out of fold. {' '.join(said)}",
        "how the size was arrived at",
    )


def missing_data(e: Evidence) -> Answer:
    """Item 11."""
    return Answer(
        FILLED,
        " ".join(
            ["Nobody is left out for a missing predictor.", *sentences.missing_values(e)]
            + ["Counts stand in Table 1."] * bool(e.used.columns)
        ),
    )


def partition(e: Evidence) -> Answer:
    """Item 12a."""
    return Answer(
        FILLED,
        f"{sentences.split(e)}. Folds were frozen before anything was fitted (digest "
        f"{e.run.folds_digest[:12]}); every prediction is out-of-fold. Models are fitted on the "
        f"outer training part alone; inner parts of it serve {sentences.inner_steps(e)}.",
    )


def predictor_handling(e: Evidence) -> Answer:
    """Item 12b."""
    handled = "; ".join(sentences.preparation_of_columns(e)) or "nothing is transformed"
    lines = "; ".join(map(sentences.encoder_line, e.run.encoders))
    encoders = f" Encoders: {lines}." if lines else ""
    return Answer(FILLED, f"Inside the outer training part: {handled}.{encoders}")


def model_building(e: Evidence) -> Answer:
    """Item 12c."""
    models = ", ".join(dict.fromkeys(a.model for a in e.arms if a.kind == "arm"))
    return partly(
        " ".join(
            [
                f"models: {models}.",
                *sentences.building(e),
                f"Probabilities are {e.calibration}. Internal validation by the outer folds. "
                "Settings that were chosen stand in work/choices.json",
            ]
        ),
        "why these models",
    )


def heterogeneity(e: Evidence) -> Answer:
    """Item 12d."""
    drawn = "groups of patients who share an image" if e.run.n_images else "patients"
    if e.run.observed != "patient":
        drawn = f"{e.noun.many}{sentences.drawn_together(e)}"
    said = [f"Intervals draw {drawn}.", "Spread over folds stands in the table of folds."]
    if e.subgroups:
        said.append(f"{e.baseline} is scored by {sentences.columns_of_subgroups(e)}.")
    asked = [r for r in (() if e.audit is None else e.audit.results) if r.check.name == SITE_CHECK]
    if any(result.status != "not_applicable" for result in asked):
        said.append("The audit asks whether the source site predicts the outcome.")
    return Answer(FILLED, " ".join(said))


def measures(e: BinaryEvidence) -> Answer:
    """Item 12e."""
    return Answer(
        FILLED,
        "AUROC, AUPRC, Brier score, calibration slope and intercept, sensitivity at specificity "
        f"0.90 (its threshold is picked on the test {e.noun.many}), accuracy, precision, recall "
        "and F1 at a threshold from inner data, net benefit; "
        "ROC, precision–recall, calibration and decision curves. Arms are compared by paired "
        f"differences with Holm's adjustment. {sentence(e)}",
    )


def calculation(e: Evidence) -> Answer:
    """Item 12g."""
    return Answer(
        FILLED,
        f"{sentences.score(e)} from a model fitted on other {e.noun.many}. Command: "
        f"{e.run.command}",
    )


def imbalance(e: Evidence) -> Answer:
    """Item 13."""
    return Answer(FILLED, f"{sentences.imbalance(e)} Probabilities are {e.calibration}.")


def fairness(e: Evidence) -> Answer:
    """Item 14."""
    known = "no model is changed for fairness"
    if e.subgroups:
        columns = sentences.columns_of_subgroups(e)
        known += f"; discrimination, error and calibration are shown by {columns}"
    return partly(known, "what was done for fairness, and why")


def output(e: BinaryEvidence) -> Answer:
    """Item 15."""
    return Answer(FILLED, f"A probability. Decisions of {e.baseline}: {chosen_arm(e).threshold}.")


ANSWERS: dict[str, Callable[[Any], Answer]] = {
    "1": title,
    "4": objectives,
    "5a": sources,
    "5b": dates,
    "6a": setting,
    "6b": eligibility,
    "7": preparation,
    "8a": outcome,
    "9a": predictor_choice,
    "9b": predictor_definition,
    "10": sample_size,
    "11": missing_data,
    "12a": partition,
    "12b": predictor_handling,
    "12c": model_building,
    "12d": heterogeneity,
    "12e": measures,
    "12g": calculation,
    "13": imbalance,
    "14": fairness,
    "15": output,
}
"""Items up to the methods that the run answers, wholly or in part."""
