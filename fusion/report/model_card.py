"""The model card: what the models of a run are for, on what they rest, and where they end.

The sections follow Mitchell et al., Model cards for model reporting, FAT* 2019.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from featurestore.units import counted
from fusion.evidence import ArmEvidence, BinaryEvidence, Evidence
from fusion.report import sentences
from fusion.report.intervals import sentence_of
from fusion.report.kinds import rendering
from fusion.report.markdown_text import plain_text, table_lines
from fusion.report.methods import DISCLAIMER, audit_summary, mark
from fusion.report.numbers import number, with_interval
from fusion.report.tables import TextTable, oracle
from fusion.report.tripod_answers import chosen_arm


@dataclasses.dataclass(frozen=True)
class CardSection:
    """One section of the card.

    Attributes:
        title: Heading.
        lines: Sentences.
        table: A table below them, or None.
    """

    title: str
    lines: tuple[str, ...]
    table: TextTable | None = None


def model_card(evidence: Evidence) -> tuple[CardSection, ...]:
    """The card, filled from the run; what only authors know is said to be theirs to add."""
    return tuple(section(evidence) for section in rendering(evidence).card)


def model_card_markdown(evidence: Evidence) -> str:
    """The card as a file of its own."""
    run = evidence.run
    lines = [f"# Model card: {plain_text(run.name)}, {plain_text(run.outcome_name)}", ""]
    if mark(evidence):
        lines += [f"> **{mark(evidence)}**", ""]
    return "\n".join([*lines, *card_lines(evidence), DISCLAIMER, ""])


def card_lines(evidence: Evidence, level: int = 2) -> list[str]:
    """The sections as lines of Markdown, with headings of a level."""
    lines = []
    for section in model_card(evidence):
        lines += [f"{'#' * level} {section.title}", ""]
        lines += [f"- {plain_text(line)}" for line in section.lines]
        lines += [] if section.table is None else ["", *table_lines(section.table)]
        lines.append("")
    return lines


def about_model(e: Evidence, output: str) -> CardSection:
    """What was fitted on what, and what it says of a patient."""
    arm = next(a for a in e.arms if a.arm == e.baseline)
    return CardSection(
        "Model",
        (
            f"{arm.arm}: {arm.model} on {', '.join(arm.modalities) or 'no modality'}; compared "
            f"with {sentences.compared_with(e)}.",
            *(sentences.building(e) or ["How it is fitted stands under Methods."]),
            *(f"Encoder {sentences.encoder_line(encoder)}" for encoder in e.run.encoders),
            f"Output: {output}",
        ),
    )


def _model(e: BinaryEvidence) -> CardSection:
    return about_model(e, f"a probability; {chosen_arm(e).threshold}.")


def intended_use(e: Evidence) -> CardSection:
    """For what, and for what not."""
    images = ["images"] if e.used.embeddings else []
    data = (
        " and ".join([*images, *([f"{e.noun.one} columns"] if e.used.columns else [])])
        or "these data"
    )
    fusion = ", and what their fusion adds" if e.fusion_gain else ""
    others = "; images that are not of the kind below" if images else ""
    return CardSection(
        "Intended use",
        (
            f"Research: to ask what {data} say about an outcome{fusion}, on data like those below.",
            "Out of scope: diagnosis, treatment, triage or any decision about a person; other "
            f"populations, devices, sites or definitions of the outcome than those below{others}.",
        ),
    )


def data(e: Evidence) -> CardSection:
    """On what it rests."""
    run = e.run
    sites = f"{run.analysis.sites} sites" if run.analysis.sites else "sites not known"
    images = f"{counted(run.n_images, 'image')}, " if run.n_images else ""
    images += f"features of {run.n_slides:,} slides, " if run.n_slides else ""
    rules, unknown = run.analysis.eligibility, sentences.by_outcome(e)
    predictors = sentences.predictors(e)
    return CardSection(
        "Data",
        (
            f"{run.counted.text}, {images}{sites}; linkage {run.linkage}"
            f"{'; synthetic' if run.synthetic else ''}.",
            *([f"Studied: {'; '.join(rules)}."] if rules else []),
            *([f"Left out because their outcome is not known: {unknown}."] if unknown else []),
            *([f"Predictors: {predictors}."] if predictors else []),
            *(f"{text}." for text in sentences.left_aside(e)),
            *([f"{years}."] if (years := sentences.years(e)) else []),
            *run.licences,
            f"Who the {e.noun.many} are stands in Table 1, who was left out in the participant "
            "flow.",
        ),
    )


def _outcome(e: Evidence) -> CardSection:
    run = e.run
    return CardSection(
        "Outcome",
        (
            f"{run.outcome_name}: {run.outcome_definition}",
            f"{run.n_events:,} of {run.n_patients:,} have it ({run.prevalence:.1%}); predictors as "
            f"of {run.as_of}.",
            *run.caveats,
        ),
    )


def _performance(e: BinaryEvidence) -> CardSection:
    shown = [a for a in e.arms if a.arm == e.baseline or a.kind != "arm"]
    best = oracle(e)
    return CardSection(
        "Performance",
        (
            f"Out-of-fold, on {e.noun.many} that no fit had seen; no cohort of another time or "
            "place.",
            *([f"No predictor can be expected to exceed an AUROC of {best}."] if best else []),
            *between_subgroups(e, "auroc", "AUROC"),
        ),
        TextTable(
            f"The model beside reference models and floors. {sentence_of(shown, e)}",
            ("model", "n", "events", "AUROC [95 % CI]", "AUPRC [95 % CI]", "Brier [95 % CI]"),
            tuple(_row(arm) for arm in shown),
        ),
    )


def between_subgroups(e: Evidence, metric: str, called: str) -> tuple[str, ...]:
    """The span of a metric over subgroups that are large enough for a number."""
    areas = [(g.metrics[metric].value, g) for g in e.subgroups if metric in g.metrics]
    if len(areas) < 2:
        return ()
    low, high = min(areas, key=lambda a: a[0]), max(areas, key=lambda a: a[0])
    return (
        f"{called} by subgroup from {number(low[0])} ({low[1].column}: {low[1].level}) to "
        f"{number(high[0])} ({high[1].column}: {high[1].level}); intervals stand under Subgroups.",
    )


def _row(arm: ArmEvidence) -> tuple[str, ...]:
    values = [with_interval(arm.metrics[name]) for name in ("auroc", "auprc", "brier")]
    return (arm.arm, str(arm.n), str(arm.events), *values)


def _calibration(e: BinaryEvidence) -> CardSection:
    m = chosen_arm(e).metrics
    return CardSection(
        "Calibration",
        (
            f"Probabilities are {e.calibration}.",
            f"Slope {with_interval(m['calibration_slope'], 2)} (ideal 1), intercept "
            f"{with_interval(m['calibration_intercept'], 2)} (ideal 0).",
            f"Net benefit at threshold {e.net_benefit_threshold:.2f}: "
            f"{number(m['net_benefit'].value)}.",
        ),
    )


def limitations(e: Evidence) -> CardSection:
    """What the audit and the findings say."""
    lines = [f"{f.level}: {f.text}" for f in e.findings if f.level != "note"]
    summary = audit_summary(e)
    return CardSection(
        "Limitations",
        (
            *([f"Audit: {summary}"] if summary else ["No audit was made."]),
            *(lines or ["Nothing was found that warns of the numbers."]),
            "Internal validation only: performance elsewhere is not known.",
        ),
    )


def ethics(e: Evidence) -> CardSection:
    """Persons behind the data, and before the predictions."""
    people = (
        "No person is in the data."
        if e.run.synthetic and e.run.linkage != "label_matched"
        else "Ethical approval and consent: for the authors to state."
    )
    return CardSection(
        "Ethics",
        (
            people,
            f"{'Skin tones, ages and body sites' if e.used.embeddings else 'Patients'} that are "
            f"rare in the data are served worst, and numbers of all {e.noun.many} together do not "
            "show it. For the authors to state: who is missing.",
            "Predictions can be read as advice although they are not; show them only with the "
            "limits above.",
        ),
    )


def version_list(e: Evidence) -> CardSection:
    """What made the numbers."""
    return CardSection(
        "Versions",
        (
            ", ".join(f"{name} {version}" for name, version in e.run.versions.items()),
            f"Cohort {e.run.cohort_digest[:16]}, folds {e.run.folds_digest[:16]}, seed "
            f"{e.run.seed}.",
            f"Command: {e.run.command}",
        ),
    )


BINARY_CARD: tuple[Callable[[BinaryEvidence], CardSection], ...] = (
    _model,
    intended_use,
    data,
    _outcome,
    _performance,
    _calibration,
    limitations,
    ethics,
    version_list,
)
"""Sections of the card of outcomes that are there or not."""
