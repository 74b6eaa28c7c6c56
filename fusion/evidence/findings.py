"""What a reader must know before any number: one function a finding, the gravest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from featurestore.cohort import Cohort
from featurestore.outcomes.synthetic import SYNTHETIC_DATA
from featurestore.tables import OUTCOME_STAGE
from featurestore.units import NOUNS, Noun, counted
from fusion.audit.base import AuditReport
from fusion.evidence.about import RunFacts
from fusion.evidence.reference_model import ReferenceModel
from fusion.evidence.types import Arm, ArmEvidence, Finding, Gain
from fusion.metrics import Estimate

MANY_LEFT_OUT = 0.05
"""Share of patients, left out for what is not known of their outcome, that is a warning."""

LEVELS = ("invalidates", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Bootstrapped:
    """What happened to the draws.

    Attributes:
        draws: All.
        one_class: Those with one class only, which define no AUROC and were left out.
    """

    draws: int
    one_class: int


def find_problems(
    run: RunFacts,
    cohort: Cohort,
    groups: Mapping[str, str],
    arms: tuple[ArmEvidence, ...],
    gains: tuple[Gain, ...],
    bootstrapped: Bootstrapped,
    audit: AuditReport | None = None,
    clinical: ReferenceModel | None = None,
) -> tuple[Finding, ...]:
    """Collects all findings, sorted by level."""
    found = [
        *_audited(audit),
        *_synthetic(run),
        *_permuted(arms),
        *_unpredicted(cohort, arms),
        *_left_out_by_outcome(cohort),
        *contradictions(clinical, noun=cohort.noun),
        *(Finding("warning", f"Arm left out: {text}") for text in run.arms_left_out),
        *_left_out(bootstrapped),
        *no_gain(gains, "ΔAUROC"),
        *_random_weights(run),
        *_copies(cohort, groups),
        *_nameless(cohort),
        *(Finding("warning", text) for text in run.caveats),
        *(Finding("note", text) for text in run.notes),
    ]
    return ranked(found)


def shared_problems(
    run: RunFacts,
    cohort: Cohort,
    groups: Mapping[str, str],
    arms: Sequence[Arm],
    audit: AuditReport | None,
) -> Iterator[Finding]:
    """What any kind of endpoint has to say: audit, who was left out, what an outcome warns of."""
    yield from _audited(audit)
    yield from _synthetic(run)
    yield from _unpredicted(cohort, arms)
    yield from _left_out_by_outcome(cohort)
    yield from (Finding("warning", f"Arm left out: {text}") for text in run.arms_left_out)
    yield from _random_weights(run)
    yield from _copies(cohort, groups)
    yield from (Finding("warning", text) for text in run.caveats)
    yield from (Finding("note", text) for text in run.notes)


def ranked(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, the gravest first."""
    return tuple(sorted(dict.fromkeys(found), key=lambda f: LEVELS.index(f.level)))


def _audited(audit: AuditReport | None) -> Iterator[Finding]:
    """One finding a hit of the audit; what was accepted is a note."""
    for result in () if audit is None else audit.results:
        for hit in result.hits:
            yield Finding(hit.severity or result.check.severity, hit.text)
        for hit in result.accepted:
            yield Finding("note", f"{hit.text} Accepted: {result.note}.")


def _synthetic(run: RunFacts) -> Iterator[Finding]:
    """The same words as the caveat of outcomes that are synthetic themselves: said once."""
    if run.synthetic:
        yield Finding("warning", SYNTHETIC_DATA)


def _permuted(arms: tuple[ArmEvidence, ...]) -> Iterator[Finding]:
    """Below one half; above is a check of the audit."""
    for arm in arms:
        auroc = arm.metrics["auroc"]
        if arm.model == "permuted_labels" and auroc.high < 0.5:
            yield Finding(
                "warning",
                f"With permuted labels the AUROC is {_text(auroc)}: below 0.5: chance, or pooled "
                "folds whose models rank on different levels, which makes every AUROC here "
                "pessimistic.",
            )


def _unpredicted(cohort: Cohort, arms: Sequence[Arm]) -> Iterator[Finding]:
    missing = cohort.n_patients - arms[0].n
    if missing:
        yield Finding(
            "warning",
            f"{missing} of {cohort.n_patients} {cohort.noun.many} of the cohort were not "
            "predicted.",
        )


def _left_out_by_outcome(cohort: Cohort) -> Iterator[Finding]:
    """Who is left out because nobody knows the outcome is a choice by the outcome."""
    rows = cohort.exclusions
    rows = rows[(rows["entity"] == cohort.noun.one) & (rows["stage"] == OUTCOME_STAGE)]
    if rows.empty:
        return
    counts = rows["reason"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    reasons = "; ".join(f"{reason}: {n}" for reason, n in counts.items())
    many = len(rows) >= MANY_LEFT_OUT * (len(rows) + cohort.n_patients)
    who = f"{len(rows)} {cohort.noun.one if len(rows) == 1 else cohort.noun.many}"
    were = "was" if len(rows) == 1 else "were"
    yield Finding(
        "warning" if many else "note",
        f"Who is studied depends on the outcome: {who} {were} left out because it is not "
        f"known ({reasons}), {cohort.n_patients} are studied. If they differ in their risk, every "
        "number here is of a selection.",
    )


def contradictions(
    clinical: ReferenceModel | None,
    metric: str = "AUROC",
    ratio: str = "odds ratio",
    noun: Noun = NOUNS["patient"],
) -> Iterator[Finding]:
    """Known risk factors that point the wrong way, one finding a factor.

    Args:
        clinical: The clinical reference; None where none was fitted.
        metric: What directions are measured by, for people.
        ratio: What its coefficients are, for people.
        noun: What is observed.
    """
    if clinical is None:
        return
    fits = {c.name: c for c in clinical.coefficients}
    for factor in dict.fromkeys(d.factor for d in clinical.directions):
        own = [d for d in clinical.directions if d.factor == factor]
        wrong = [d for d in own if d.contradicts]
        fitted = fits.get(own[0].column)
        against = fitted is not None and fitted.most < 1
        said = [
            f"among {f'{noun.many} with specimen {d.among}' if d.among else f'all {noun.many}'} "
            f"its {metric} is {_text(d.discrimination)} ({d.n} {noun.many}, {d.events} with the "
            "outcome)"
            for d in wrong
        ]
        if fitted is not None and against:
            said.append(
                f"in the clinical reference its {ratio} is {fitted.ratio:.2f} per standard "
                f"deviation ({fitted.least:.2f} to {fitted.most:.2f} over {fitted.fits} fits)"
            )
        within = [
            f"{d.among} {d.discrimination.value:.3f}" for d in own if d.among and d not in wrong
        ]
        if said and within:
            said.append(f"within types of specimen its {metric} is {', '.join(within)}")
        if said:
            yield Finding(
                "warning" if wrong else "note",
                f"{factor[0].upper()}{factor[1:]} is known to raise the risk and goes the other "
                f"way here: {'; '.join(said)}. Ask how patients came into the cohort before "
                "believing a model that learned it, or a gain over this reference.",
            )


def _left_out(bootstrapped: Bootstrapped) -> Iterator[Finding]:
    if bootstrapped.one_class:
        yield Finding(
            "warning",
            f"{bootstrapped.one_class:,} of {bootstrapped.draws:,} bootstrap draws held one class "
            "only and were left out: there are too few patients for these intervals.",
        )


def no_gain(gains: Sequence[Gain], difference: str) -> Iterator[Finding]:
    """One finding a fused arm and reading, naming all single modalities concerned.

    Args:
        gains: What fusion adds to each single modality.
        difference: What the gains are, for people.
    """
    for fused in dict.fromkeys(g.fused_arm for g in gains):
        own = [g for g in gains if g.fused_arm == fused]
        worse = [g for g in own if g.delta.high < 0]
        unclear = [g for g in own if not (g.delta.low > 0 or g.delta.high < 0)]
        for reading, concerned in (
            ("is worse than", worse),
            ("adds nothing measurable over", unclear),
        ):
            if concerned:
                names = "; ".join(
                    f"{g.single_arm} ({difference} {_text(g.delta, '+')})" for g in concerned
                )
                yield Finding("warning", f"{fused} {reading} {names}.")


def _random_weights(run: RunFacts) -> Iterator[Finding]:
    for encoder in run.encoders:
        if encoder.trained == "never":
            yield Finding(
                "warning",
                f"Encoder {encoder.name} has random weights: it was never trained, and its arms "
                "show what an untrained network sees.",
            )


def _copies(cohort: Cohort, groups: Mapping[str, str]) -> Iterator[Finding]:
    patients = cohort.images.groupby("duplicate_cluster")["patient_id"].nunique()
    crossing = int((patients > 1).sum())
    if not crossing:
        return
    sizes = np.unique(list(groups.values()), return_counts=True)[1]
    tied = int(sizes[sizes > 1].sum())
    yield Finding(
        "note",
        f"{counted(crossing, 'cluster')} of copied images {'spans' if crossing == 1 else 'span'} "
        "several "
        f"{cohort.noun.many}; the {tied} {cohort.noun.many} concerned stay in one fold with their "
        "group, and the bootstrap draws "
        "whole groups.",
    )


def _nameless(cohort: Cohort) -> Iterator[Finding]:
    """Lesions that nothing keeps with others of the same patient."""
    counted = cohort.counted
    if counted.nameless:
        yield Finding(
            "warning",
            f"Of {counted.nameless:,} of {counted.noun.counted(counted.n)} the patient is not "
            f"known. Where a patient has several of them, folds part them and the bootstrap draws "
            f"them one by one: scores may be too good, and intervals too narrow.",
        )


def _text(estimate: Estimate, sign: str = "") -> str:
    value = f"{estimate.value:{sign}.3f}"
    if not np.isfinite(estimate.low):
        return f"{value}, no interval"
    return f"{value}, {estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"
