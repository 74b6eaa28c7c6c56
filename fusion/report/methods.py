"""What a report says in words: its header and how the numbers were made."""

from __future__ import annotations

import math

from featurestore.cohort import watermark
from featurestore.units import counted, worded
from fusion.evidence import BinaryEvidence, Evidence
from fusion.report.ablation import SENSITIVITY
from fusion.report.intervals import headline, sentence
from fusion.report.kinds import rendering
from fusion.report.numbers import number
from fusion.report.sentences import (
    drawn_together,
    encoder_line,
    kept_together,
    nameless,
    preparation_of_columns,
    score,
)

FLOORS = {
    "permuted_labels": "Floor: `permuted_labels` fits on exchanged outcomes and should reach 0.5.",
    "prevalence": "Floor: `prevalence` predicts the share of events.",
}
DISCLAIMER = "For research use only. Not a medical device."


def mark(evidence: Evidence) -> str:
    """What must stand above everything; empty for real, linked patients."""
    return watermark(evidence.run.linkage, evidence.run.synthetic)


def audit_summary(evidence: Evidence) -> str:
    """One sentence: how many checks looked, and how many fired; empty without audit."""
    if evidence.audit is None:
        return ""
    results = evidence.audit.results
    looked = [r for r in results if r.status != "not_applicable"]
    fired = evidence.audit.fired
    grave = [r.check.title for r in fired if r.severity == "invalidates"]
    text = f"{len(looked)} of {len(results)} checks apply; {len(fired)} fired."
    if grave:
        text += f" The numbers below mean nothing until this is resolved: {'; '.join(grave)}."
    return text


def study_rows(evidence: Evidence) -> list[tuple[str, str]]:
    """Name and value of what was studied."""
    run, kind = evidence.run, rendering(evidence)
    rows = [
        ("Outcome", f"{run.outcome_name}: {run.outcome_definition}"),
        ("Unit", run.unit),
        ("Predictors as of", run.as_of),
        (
            evidence.noun.many.capitalize(),
            kind.patients(evidence)
            + (f", {counted(run.n_images, 'image')}" if run.n_images else "")
            + (f", features of {run.n_slides:,} slides" if run.n_slides else ""),
        ),
        ("Linkage", run.linkage),
    ]
    best = kind.best(evidence)
    if best is not None:
        rows.insert(4, (best[0], f"{best[1]}, known because the outcome was drawn from it"))
    return rows


def provenance_rows(evidence: Evidence) -> list[tuple[str, str]]:
    """Name and value of what a run can be told by, and repeated with."""
    run = evidence.run
    return [
        *(("Encoder", encoder_line(encoder)) for encoder in run.encoders),
        ("Seed", str(run.seed)),
        ("Cohort digest", run.cohort_digest[:16]),
        ("Folds digest", run.folds_digest[:16]),
        ("Versions", ", ".join(f"{k} {v}" for k, v in run.versions.items())),
        ("Command", run.command),
    ]


def methods(evidence: BinaryEvidence) -> list[str]:
    """How folds, intervals, thresholds and differences were made, a sentence each."""
    drawn = evidence.noun.many if nameless(evidence) else "patients"
    kept, tied = f"; {kept}" if (kept := kept_together(evidence)) else "", drawn_together(evidence)
    prepared, many = preparation_of_columns(evidence), evidence.noun.many
    lines = [
        f"Outer folds are stratified by the outcome{kept}, and were frozen before anything was "
        "fitted. All that is fitted saw the outer training part only"
        f"{': ' + '; '.join(prepared) if prepared else ''}.",
        f"{score(evidence)}; every number counts {many}. Metrics are computed on the pooled "
        "out-of-fold predictions of a repeat and averaged over repeats.",
        f"{sentence(evidence)} They are 95 % intervals of draws of "
        f"{drawn}{tied}; differences are paired. p values are two-sided, of the same standard "
        "error, and adjusted by Holm over all arms.",
        headline(),
        "Accuracy, precision, recall and F1 decide at a threshold chosen on inner data of the same "
        f"fold by {evidence.threshold_rule}, never on outer test {many}. Probabilities are "
        f"{evidence.calibration}. {worded(SENSITIVITY, evidence.noun)}",
        "Calibration: slope of a logistic regression of the outcome on the logit of the "
        "probability, and intercept with the slope fixed at 1 (Van Calster 2019). Ideal: 1 and 0.",
        *(FLOORS[arm.model] for arm in evidence.arms if arm.model in FLOORS),
    ]
    if evidence.reference_model is not None:
        lines.append(
            f"`clinical_reference` is a logistic regression on {evidence.reference_model.basis}."
        )
    widths = [arm.tie_width for arm in evidence.arms if math.isfinite(arm.tie_width)]
    if widths:
        lines.append(
            "Tie widths are half the 95 % interval of an arm's mean difference in AUROC to the "
            "baseline over the outer folds, corrected for training parts that overlap (Nadeau & "
            f"Bengio 2003): {number(min(widths))} to {number(max(widths))} here."
        )
    return lines
