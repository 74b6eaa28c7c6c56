"""What a run can say to items of TRIPOD+AI, a function each; see `fusion.report.tripod`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from fusion.audit.sample_size import EVENTS_PER_PREDICTOR
from fusion.evidence import ArmEvidence, Evidence
from fusion.report.methods import encoder_line
from fusion.report.numbers import number, with_interval

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


def chosen_arm(evidence: Evidence) -> ArmEvidence:
    """The arm that the run is about: the one that differences are taken against."""
    return next(a for a in evidence.arms if a.arm == evidence.baseline)


def title(e: Evidence) -> Answer:
    """Item 1."""
    return _partly(
        f"development with internal validation of models that predict {e.run.outcome_name} in "
        f"{e.run.n_patients:,} {e.run.unit}s",
        "name target population and outcome in the title",
    )


def objectives(e: Evidence) -> Answer:
    """Item 4."""
    return _partly(
        f"development with internal validation; {e.baseline} against {len(e.arms) - 1} other "
        "arms, reference models and floors on the same patients and folds",
        "the question that this answers",
    )


def sources(e: Evidence) -> Answer:
    """Item 5a."""
    return _partly(
        f"sources read: {e.run.analysis.sources or 'not known'}; {'; '.join(e.run.licences)}; "
        f"images and patient rows linked by: {e.run.linkage}",
        "study design, why these data, and whom they represent",
    )


def setting(e: Evidence) -> Answer:
    """Item 6a."""
    sites = e.run.analysis.sites
    known = f"{sites} sites are named in the data" if sites else "no site is named in the data"
    return _partly(known, "kind of care, number and location of centres")


def eligibility(e: Evidence) -> Answer:
    """Item 6b."""
    return Answer(
        FILLED, f"Studied: {e.run.analysis.eligibility or 'all patients of the sources'}."
    )


def preparation(e: Evidence) -> Answer:
    """Item 7."""
    looked = "no audit was made"
    if e.audit is not None:
        count = sum(r.status != "not_applicable" for r in e.audit.results)
        looked = f"{count} audit checks looked for leaks and shortcuts, {len(e.audit.fired)} fired"
    return _partly(
        "files were decoded, checked and compared for copies; what was left out stands in the "
        f"participant flow; {looked}",
        "whether quality was alike across groups of patients",
    )


def outcome(e: Evidence) -> Answer:
    """Item 8a."""
    return _partly(
        f"{e.run.outcome_name}: {e.run.outcome_definition} Predicted as of: {e.run.as_of}. "
        + " ".join(e.run.caveats),
        "how and when it was assessed, and why this outcome",
    )


def predictor_choice(e: Evidence) -> Answer:
    """Item 9a."""
    withheld = e.run.analysis.withheld
    return _partly(
        "all columns that the sources hold and the outcome allows; "
        f"withheld from models: {withheld or 'none'}",
        "why these predictors were collected",
    )


def predictor_definition(e: Evidence) -> Answer:
    """Item 9b."""
    return _partly(
        f"{e.run.analysis.predictors}; measured: {e.run.analysis.measured or 'not known'}; units, "
        "levels and original names stand in export/codebook.csv",
        "how they were measured, and whether blind to the outcome",
    )


def sample_size(e: Evidence) -> Answer:
    """Item 10."""
    said = [
        hit.text
        for result in (() if e.audit is None else e.audit.results)
        if result.check.name == EVENTS_PER_PREDICTOR
        for hit in result.hits
    ]
    return _partly(
        f"{e.run.n_patients:,} patients, {e.run.n_events:,} with the outcome. {' '.join(said)}",
        "how the size was arrived at",
    )


def missing_data(e: Evidence) -> Answer:
    """Item 11."""
    return Answer(
        FILLED,
        "Nobody is left out for a missing predictor. Missing values are filled with medians of the "
        "outer training part, with an indicator of missingness; a missing modality is masked in "
        "fusion heads. Counts stand in Table 1.",
    )


def partition(e: Evidence) -> Answer:
    """Item 12a."""
    return Answer(
        FILLED,
        f"{e.run.analysis.split or 'Outer folds'}. Folds were frozen before anything was fitted "
        f"(digest {e.run.folds_digest[:12]}); every prediction is out-of-fold.",
    )


def predictor_handling(e: Evidence) -> Answer:
    """Item 12b."""
    return Answer(
        FILLED,
        "Inside the outer training part: numeric columns scaled, categories coded, expression and "
        f"embeddings reduced to components where the model needs it. Encoders: "
        f"{'; '.join(map(encoder_line, e.run.encoders)) or 'none'}.",
    )


def model_building(e: Evidence) -> Answer:
    """Item 12c."""
    models = dict.fromkeys(a.model for a in e.arms if a.kind == "arm")
    return _partly(
        f"models: {', '.join(models)}. {e.run.analysis.building} Probabilities are "
        f"{e.calibration}. Internal validation by the outer folds. Settings that were chosen stand "
        "in work/choices.json",
        "why these models",
    )


def heterogeneity(e: Evidence) -> Answer:
    """Item 12d."""
    return Answer(
        FILLED,
        "Intervals draw whole groups of tied patients. Spread over folds stands in the table of "
        "folds and in the subgroups, of source sites too where they are known; the audit asks "
        "whether the site predicts the outcome.",
    )


def measures(e: Evidence) -> Answer:
    """Item 12e."""
    return Answer(
        FILLED,
        "AUROC, AUPRC, Brier score, calibration slope and intercept, sensitivity at specificity "
        "0.90, accuracy, precision, recall and F1 at a threshold from inner data, net benefit; "
        "ROC, precision–recall, calibration and decision curves. Arms are compared by paired "
        f"differences over {e.bootstrap_draws:,} shared bootstrap draws of patients, with Holm's "
        "adjustment.",
    )


def calculation(e: Evidence) -> Answer:
    """Item 12g."""
    return Answer(
        FILLED,
        "A patient's score is the mean logit over the patient's images from a model fitted on "
        f"other patients. Command: {e.run.command}",
    )


def imbalance(e: Evidence) -> Answer:
    """Item 13."""
    stated = e.run.analysis.imbalance
    if not stated:
        return Answer(AUTHOR, "State whether and how.")
    return Answer(FILLED, f"{stated} Probabilities are {e.calibration}.")


def fairness(e: Evidence) -> Answer:
    """Item 14."""
    known = "no model is changed for fairness"
    if e.subgroups:
        columns = ", ".join(dict.fromkeys(group.column for group in e.subgroups))
        known += f"; discrimination, error and calibration are shown by {columns}"
    return _partly(known, "what was done for fairness, and why")


def output(e: Evidence) -> Answer:
    """Item 15."""
    return Answer(FILLED, f"A probability. Decisions of {e.baseline}: {chosen_arm(e).threshold}.")


def ethics(e: Evidence) -> Answer:
    """Item 17."""
    if e.run.synthetic and e.run.linkage != "label_matched":
        return Answer(NOT_APPLICABLE, "The data are synthetic: no person is in them.")
    return Answer(AUTHOR, "Name the ethics committee, and consent or its waiver.")


def data_sharing(e: Evidence) -> Answer:
    """Item 18e."""
    return _partly(
        f"licences: {'; '.join(e.run.licences) or 'none stated'}; digest of the cohort "
        f"{e.run.cohort_digest[:12]}; `melafuse export` writes tables with a codebook",
        "where the data can be had",
    )


def code_sharing(e: Evidence) -> Answer:
    """Item 18f."""
    version = e.run.versions.get("melafuse", "not known")
    return _partly(
        f"melafuse {version}; the configuration is config.yaml of the run", "where code is shared"
    )


def flow(e: Evidence) -> Answer:
    """Item 20a."""
    left = sum(step.n for step in e.flow if step.entity == "patient")
    return _partly(
        f"{e.run.n_patients:,} patients studied, {e.run.n_events:,} with and "
        f"{e.run.n_patients - e.run.n_events:,} without the outcome; {left:,} patients left out, "
        "with reasons in the participant flow",
        "follow-up time, where the outcome has one",
    )


def characteristics(e: Evidence) -> Answer:
    """Item 20b."""
    return _partly("Table 1, by outcome, with missing values", "key dates and treatments")


def participants_of_analyses(e: Evidence) -> Answer:
    """Item 21."""
    sizes = e.per_fold.loc[e.per_fold["arm"] == e.baseline, ["n", "events"]]
    low, high = sizes.min(), sizes.max()
    return Answer(
        FILLED,
        f"Every arm: {chosen_arm(e).n:,} patients, {chosen_arm(e).events:,} events. Each outer "
        f"fold tests {low['n']} to {high['n']} patients with {low['events']} to {high['events']} "
        "events and trains, tunes and chooses on the others.",
    )


def specification(e: Evidence) -> Answer:
    """Item 22."""
    return _partly(
        "cross-validated models are not kept as one model; config.yaml, the seed and the digests "
        "of data and encoders determine them, and `melafuse fit` makes a bundle of an arm fitted "
        "on everyone",
        "where the final model can be had, and under which terms",
    )


def performance(e: Evidence) -> Answer:
    """Item 23a."""
    m = chosen_arm(e).metrics
    return Answer(
        FILLED,
        f"{e.baseline}: AUROC {with_interval(m['auroc'])}, AUPRC {with_interval(m['auprc'])}, "
        f"Brier {with_interval(m['brier'])}, calibration slope "
        f"{with_interval(m['calibration_slope'], 2)}; all arms in the ablation table"
        f"{', subgroups in theirs' if e.subgroups else ''}.",
    )


def heterogeneity_results(e: Evidence) -> Answer:
    """Item 23b."""
    areas = e.per_fold.loc[e.per_fold["arm"] == e.baseline, "auroc"].dropna()
    span = f"{number(areas.min())} to {number(areas.max())}" if len(areas) else "not defined"
    return Answer(FILLED, f"AUROC of {e.baseline} over outer folds: {span}.")


def interpretation(e: Evidence) -> Answer:
    """Item 25."""
    return _partly(
        f"ΔAUROC to the baseline with interval and Holm's p in the ablation table; "
        f"{len(e.fusion_gain)} comparisons of all modalities with one",
        "what this means beside earlier studies",
    )


def limitations(e: Evidence) -> Answer:
    """Item 26."""
    grave = [f.text for f in e.findings if f.level != "note"]
    return _partly(
        f"{len(grave)} findings stand under Warnings{': ' if grave else ''}{' '.join(grave[:3])}",
        "what they do to bias, uncertainty and generalisability",
    )


def _partly(known: str, missing: str) -> Answer:
    """An item that needs its author: what the run knows, and what to add."""
    known = known.strip()
    end = "" if known.endswith(".") else "."
    return Answer(AUTHOR, f"From the run: {known}{end} To add: {missing}.")


ANSWERS: dict[str, Callable[[Evidence], Answer]] = {
    "1": title,
    "4": objectives,
    "5a": sources,
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
    "17": ethics,
    "18e": data_sharing,
    "18f": code_sharing,
    "20a": flow,
    "20b": characteristics,
    "21": participants_of_analyses,
    "22": specification,
    "23a": performance,
    "23b": heterogeneity_results,
    "25": interpretation,
    "26": limitations,
}
"""Items that the run answers, wholly or in part."""
