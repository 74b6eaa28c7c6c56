"""What a report says in words: its header and how the numbers were made."""

from __future__ import annotations

from featurestore.cohort.watermark import watermark
from fusion.evidence import EncoderFacts, Evidence
from fusion.evidence.about import EVERY_FOLD
from fusion.report.numbers import number
from fusion.report.tables import oracle

DISCLAIMER = "For research use only. Not a medical device."


def mark(evidence: Evidence) -> str:
    """What must stand above everything; empty for real, linked patients."""
    return watermark(evidence.run.linkage, evidence.run.synthetic)


def encoder_line(encoder: EncoderFacts) -> str:
    """An encoder with its digest, or one a fold."""
    where = {
        "elsewhere": f"weights {encoder.weights}",
        "never": f"weights {encoder.weights}",
        "training parts": "fine-tuned on the training patients of each fold",
        "other patients": "fine-tuned on other patients",
    }[encoder.trained]
    one = encoder.digests.keys() == {EVERY_FOLD}
    digests = [d if one else f"{fold} {d}" for fold, d in encoder.digests.items()]
    return f"{encoder.name}: {encoder.dimension}-d, {where}, {', '.join(digests)}"


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


def header_rows(evidence: Evidence) -> list[tuple[str, str]]:
    """Name and value of everything that a reader needs to place the numbers."""
    run = evidence.run
    rows = [
        ("Outcome", f"{run.outcome_name}: {run.outcome_definition}"),
        ("Unit", run.unit),
        ("Predictors as of", run.as_of),
        (
            "Patients",
            f"{run.n_patients:,}, {run.n_events:,} with the outcome ({run.prevalence:.1%}), "
            f"{run.n_images:,} images",
        ),
        ("Linkage", run.linkage),
        *(("Encoder", encoder_line(encoder)) for encoder in run.encoders),
        ("Seed", str(run.seed)),
        ("Cohort digest", run.cohort_digest[:16]),
        ("Folds digest", run.folds_digest[:16]),
        ("Versions", ", ".join(f"{k} {v}" for k, v in run.versions.items())),
        ("Command", run.command),
    ]
    best = oracle(evidence)
    if best is not None:
        rows.insert(4, ("Oracle AUROC", f"{best}, known because the outcome was drawn from it"))
    return rows


def methods(evidence: Evidence) -> list[str]:
    """How folds, intervals, thresholds and differences were made, a sentence each."""
    tie = number(evidence.tie_width)
    lines = [
        "Outer folds are stratified, keep patients and copies of images together, and were frozen "
        "before anything was fitted. Imputation, scaling, expression and embedding components, "
        "tuning and early stopping saw the outer training part only.",
        "A patient's score is the mean logit over its images; every number counts patients. "
        "Metrics are computed on the pooled out-of-fold predictions of a repeat and averaged over "
        "repeats.",
        f"Intervals are 95 % percentile intervals of {evidence.bootstrap_draws:,} bootstrap draws "
        "of patients (patients that share an image are drawn together). All arms share the draws, "
        "so differences are paired. p values are two-sided and adjusted by Holm over all arms.",
        "Accuracy, precision, recall and F1 decide at a threshold chosen on inner data of the same "
        f"fold by {evidence.threshold_rule}, never on outer test patients. Probabilities are "
        f"{evidence.calibration}.",
        "Calibration: slope of a logistic regression of the outcome on the logit of the "
        "probability, and intercept with the slope fixed at 1 (Van Calster 2019). Ideal: 1 and 0.",
        "Floors: `permuted_labels` fits on shuffled outcomes and should reach 0.5; `prevalence` "
        "predicts the share of events. `clinical_reference` is a logistic regression on Breslow "
        "thickness, ulceration and age, or on what of it the cohort has.",
    ]
    if tie != "—":
        lines.append(
            f"By the spread over folds (Nadeau & Bengio 2003), a gap in AUROC to the baseline "
            f"below {tie} is a tie."
        )
    return lines
