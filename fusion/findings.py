"""What a reader must know before any number: one function a finding, the gravest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from featurestore.cohort import Cohort
from fusion._evidence_types import ArmEvidence, Estimate, Finding, Gain, RunFacts

LEVELS = ("invalidates", "warning", "note")
CEILING = 0.9
"""AUROC above which published studies of melanoma metastasis stand alone: a reason to audit."""
EVENTS_PER_PREDICTOR = 10
"""Below this a regression is unstable (Peduzzi et al. 1996); a rule of thumb."""


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
    groups: Mapping[str, str] | None,
    arms: tuple[ArmEvidence, ...],
    gains: tuple[Gain, ...],
    bootstrapped: Bootstrapped,
) -> tuple[Finding, ...]:
    """Collects all findings, sorted by level."""
    found = [
        *_linkage(run),
        *_synthetic(run),
        *_permuted(arms),
        *_too_good(arms),
        *_unpredicted(cohort, arms),
        *(Finding("warning", f"Arm left out: {text}") for text in run.arms_left_out),
        *_left_out(bootstrapped),
        *_no_gain(gains),
        *_few_events(cohort),
        *_random_weights(run),
        *_copies(cohort, groups),
        *(Finding("warning", text) for text in run.caveats),
        *(Finding("note", text) for text in run.notes),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda f: LEVELS.index(f.level)))


def _linkage(run: RunFacts) -> Iterator[Finding]:
    if run.linkage == "label_matched":
        yield Finding(
            "invalidates",
            "Images and patient rows are matched by label: no row describes one person, and the "
            "outcome enters through the pairing. No patient-level claim can be made.",
        )


def _synthetic(run: RunFacts) -> Iterator[Finding]:
    if run.synthetic and not any("synthetic" in text.casefold() for text in run.caveats):
        yield Finding(
            "warning",
            "Synthetic data: patients, images and outcome were made by a program. No number here "
            "says anything about melanoma.",
        )


def _permuted(arms: tuple[ArmEvidence, ...]) -> Iterator[Finding]:
    for arm in arms:
        auroc = arm.metrics["auroc"]
        if arm.model != "permuted_labels" or not auroc.excludes(0.5):
            continue
        if auroc.low > 0.5:
            yield Finding(
                "invalidates",
                f"With permuted labels the AUROC is {_text(auroc)}: above 0.5: either something "
                "leaks past the folds, or this is the one run in forty in which chance does it. "
                "Run again with another seed.",
            )
        else:
            yield Finding(
                "warning",
                f"With permuted labels the AUROC is {_text(auroc)}: below 0.5: chance, or pooled "
                "folds whose models rank on different levels, which makes every AUROC here "
                "pessimistic.",
            )


def _too_good(arms: tuple[ArmEvidence, ...]) -> Iterator[Finding]:
    high = [a for a in arms if a.kind != "floor" and a.metrics["auroc"].value > CEILING]
    if high:
        names = ", ".join(f"{a.arm} ({a.metrics['auroc'].value:.3f})" for a in high)
        yield Finding(
            "warning",
            f"AUROC above {CEILING}: {names}. The literature does not support this for real "
            "patients; audit before you believe it.",
        )


def _unpredicted(cohort: Cohort, arms: tuple[ArmEvidence, ...]) -> Iterator[Finding]:
    missing = cohort.n_patients - arms[0].n
    if missing:
        yield Finding(
            "warning",
            f"{missing} of {cohort.n_patients} patients of the cohort were not predicted.",
        )


def _left_out(bootstrapped: Bootstrapped) -> Iterator[Finding]:
    if bootstrapped.one_class:
        yield Finding(
            "warning",
            f"{bootstrapped.one_class:,} of {bootstrapped.draws:,} bootstrap draws held one class "
            "only and were left out: there are too few patients for these intervals.",
        )


def _no_gain(gains: tuple[Gain, ...]) -> Iterator[Finding]:
    """One finding a fused arm and reading, naming all single modalities concerned."""
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
                    f"{g.single_arm} (ΔAUROC {_text(g.delta, '+')})" for g in concerned
                )
                yield Finding("warning", f"{fused} {reading} {names}.")


def _few_events(cohort: Cohort) -> Iterator[Finding]:
    """Counts coefficients of a regression; expression is left out, because it is reduced."""
    predictors = [c for c in cohort.dictionary.features() if c.kind != "expression"]
    width = sum(max(len(c.levels) - 1, 1) if c.kind == "nominal" else 1 for c in predictors)
    rarer = min(cohort.n_events, cohort.n_patients - cohort.n_events)
    if width and rarer < EVENTS_PER_PREDICTOR * width:
        yield Finding(
            "warning",
            f"{rarer} patients in the rarer class for {width} parameters of patient columns: "
            f"{rarer / width:.1f} each, fewer than {EVENTS_PER_PREDICTOR}.",
        )


def _random_weights(run: RunFacts) -> Iterator[Finding]:
    for encoder in run.encoders:
        if "weights random" in encoder:
            yield Finding(
                "warning",
                f"Encoder {encoder.split(':')[0]} has random weights: it was never trained, and "
                "its arms show what an untrained network sees.",
            )


def _copies(cohort: Cohort, groups: Mapping[str, str] | None) -> Iterator[Finding]:
    patients = cohort.images.groupby("duplicate_cluster")["patient_id"].nunique()
    crossing = int((patients > 1).sum())
    if not crossing:
        return
    text = f"{crossing} clusters of copied images span several patients"
    if groups is None:
        yield Finding("warning", f"{text}, and nothing ties these patients to one fold.")
        return
    sizes = np.unique(list(groups.values()), return_counts=True)[1]
    tied = int(sizes[sizes > 1].sum())
    yield Finding(
        "note",
        f"{text}; the {tied} patients concerned stay in one fold with their group, and the "
        "bootstrap draws whole groups.",
    )


def _text(estimate: Estimate, sign: str = "") -> str:
    value = f"{estimate.value:{sign}.3f}"
    if not np.isfinite(estimate.low):
        return f"{value}, no interval"
    return f"{value}, {estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"
