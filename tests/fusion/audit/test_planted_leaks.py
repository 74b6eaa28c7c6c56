"""Each leak, planted alone into a clean cohort with fits and predictions, is caught."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from audit_example import clean_cohort, make_subject, with_column
from leak_example import LEAKS

from featurestore.cohort.folds import Folds
from featurestore.store.lineage import EncoderIdentity
from featurestore.tables.dictionary import Column
from fusion.audit import CHECKS, Acceptance, AuditReport, AuditSubject, run_audit
from fusion.audit.run import run_checks
from fusion.ledger import FitRecord, Ledger
from fusion.metrics.logits import sigmoid

FROZEN = EncoderIdentity("resnet18", "imagenet", "ab" * 32, "{}", "avg", 512)
ARM = "logistic_regression[clinical]"
FLOOR = "permuted_labels"
Plant = Callable[[AuditSubject], AuditSubject]


def complete(subject: AuditSubject) -> AuditSubject:
    """Adds what a sound ablation leaves: encoders, ledgers, out-of-fold predictions."""
    keys = subject.folds.keys
    return dataclasses.replace(
        subject,
        encoders={key: {"resnet18": FROZEN} for key in keys},
        fits=tuple(sound_fit(subject, arm, *key) for arm in (ARM, FLOOR) for key in keys),
        predictions=pd.concat(
            [predicted(subject, ARM, "logistic_regression", 1.0, 1),
             predicted(subject, FLOOR, FLOOR, 0.0, 2)],
            ignore_index=True,
        ),
    )  # fmt: skip


def part(subject: AuditSubject, repeat: int, fold: int, role: str) -> list[str]:
    side = subject.folds.test if role == "test" else subject.folds.training
    return list(side((repeat, fold)))


def sound_fit(subject: AuditSubject, arm: str, repeat: int, fold: int) -> FitRecord:
    training = part(subject, repeat, fold, "train")
    ledger = Ledger(training)
    ledger.note("scaling", "fitted on", training)
    ledger.note("threshold", "selected on", training)
    return FitRecord(arm, repeat, fold, ledger.training_digest, ledger.steps())


def predicted(
    subject: AuditSubject, arm: str, model: str, strength: float, seed: int
) -> pd.DataFrame:
    """Calibrated scores: the outcome of each patient follows the log odds it is given."""
    rng = np.random.default_rng(seed)
    outcome = subject.cohort.patients.set_index("patient_id")["outcome"]
    tests = subject.folds.table[subject.folds.table["role"] == "test"]
    y = outcome.loc[tests["patient_id"]].to_numpy()
    prevalence = float(outcome.mean())
    # Two normal distributions one variance apart have exactly these log odds.
    x = strength * y + rng.normal(size=len(y))
    score = np.log(prevalence / (1 - prevalence)) + strength * x - strength**2 / 2
    return pd.DataFrame(
        {
            "run": "r",
            "arm": arm,
            "model": model,
            "modalities": "clinical",
            "design": "ablation",
            "repeat": tests["repeat"].to_numpy(),
            "fold": tests["fold"].to_numpy(),
            "patient_id": tests["patient_id"].to_numpy(),
            "y": y,
            "score": score,
            "probability": sigmoid(score),
            "threshold": 0.5,
        }
    )


def with_cohort(subject: AuditSubject, **changes: object) -> AuditSubject:
    cohort = dataclasses.replace(subject.cohort, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(subject, cohort=cohort)


def plant_column(column: Column, values: Callable[[np.ndarray], object]) -> Plant:
    def plant(subject: AuditSubject) -> AuditSubject:
        outcome = subject.cohort.patients["outcome"].to_numpy()
        cohort = with_column(subject.cohort, column, values(outcome))
        return dataclasses.replace(subject, cohort=cohort)

    return plant


def apart(subject: AuditSubject) -> tuple[str, str]:
    """Two patients on the two sides of the first fold."""
    return part(subject, 0, 0, "train")[0], part(subject, 0, 0, "test")[0]


def patient_twice(subject: AuditSubject) -> AuditSubject:
    folds = subject.folds.table.copy()
    patient = part(subject, 0, 0, "test")[0]
    row = pd.DataFrame([{"repeat": 0, "fold": 0, "patient_id": patient, "role": "train"}])
    return dataclasses.replace(subject, folds=Folds(pd.concat([folds, row], ignore_index=True)))


def shared_image_fact(column: str) -> Plant:
    def plant(subject: AuditSubject) -> AuditSubject:
        images = subject.cohort.images.copy()
        for patient in apart(subject):
            first = images.index[images["patient_id"] == patient][0]
            images.loc[first, column] = "the same"
        return with_cohort(subject, images=images)

    return plant


def lent_row(subject: AuditSubject) -> AuditSubject:
    patients = subject.cohort.patients
    donors = patients["patient_id"].where(~patients["patient_id"].isin(apart(subject)), "D1")
    return with_cohort(subject, patients=patients.assign(donor_id=donors))


def site_of_outcome(subject: AuditSubject) -> AuditSubject:
    patients = subject.cohort.patients
    rng = np.random.default_rng(4)
    follows = rng.random(len(patients)) < 0.8
    sites = np.where(patients["outcome"] == 1, "S1", "S2")
    return with_cohort(
        subject, patients=patients.assign(site=np.where(follows, sites, patients["site"]))
    )


def larger_files(subject: AuditSubject) -> AuditSubject:
    images = subject.cohort.images
    outcome = subject.cohort.patients.set_index("patient_id")["outcome"]
    events = outcome.loc[images["patient_id"]].to_numpy() == 1
    return with_cohort(
        subject, images=images.assign(file_bytes=images["file_bytes"] * (1 + 3 * events))
    )


def sorted_by_outcome(subject: AuditSubject) -> AuditSubject:
    ordered = subject.cohort.patients.sort_values(["outcome", "patient_id"])["patient_id"]
    return with_cohort(subject, file_order={p: k for k, p in enumerate(ordered)})


def fitted_on_everyone(role: str, step: str) -> Plant:
    def plant(subject: AuditSubject) -> AuditSubject:
        ledger = Ledger(part(subject, 0, 0, "train"))
        ledger.note(step, role, subject.cohort.patients["patient_id"])  # type: ignore[arg-type]
        steps = (*subject.fits[0].steps, *ledger.steps())
        leaky = FitRecord(ARM, 0, 0, ledger.training_digest, steps)
        return dataclasses.replace(subject, fits=(leaky, *subject.fits[1:]))

    return plant


def without_record(role: str) -> Plant:
    """A model that does not say whom it saw."""

    def plant(subject: AuditSubject) -> AuditSubject:
        silent = [
            dataclasses.replace(f, steps=tuple(s for s in f.steps if s.role != role))
            for f in subject.fits
        ]
        return dataclasses.replace(subject, fits=tuple(silent))

    return plant


def encoder_of_everyone(subject: AuditSubject) -> AuditSubject:
    """The mistake: one encoder, fine-tuned on all patients, for every fold."""
    everyone = tuple(sorted(subject.cohort.patients["patient_id"]))
    tuned = dataclasses.replace(FROZEN, training_patients=everyone)
    encoders = {key: {"resnet18_ft": tuned} for key in subject.encoders}
    return dataclasses.replace(subject, encoders=encoders)


def rescored(arm: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Plant:
    def plant(subject: AuditSubject) -> AuditSubject:
        assert subject.predictions is not None
        own = subject.predictions["arm"] == arm
        changed = change(subject.predictions[own].copy())
        return dataclasses.replace(
            subject, predictions=pd.concat([changed, subject.predictions[~own]])
        )

    return plant


def knowing(rows: pd.DataFrame, strength: float = 4.0) -> pd.DataFrame:
    score = rows["score"] + strength * (rows["y"] - rows["y"].mean())
    return rows.assign(score=score, probability=sigmoid(score.to_numpy()))


def oversampled(rows: pd.DataFrame) -> pd.DataFrame:
    score = rows["score"] + 1.5
    return rows.assign(score=score, probability=sigmoid(score.to_numpy()))


def overconfident(rows: pd.DataFrame) -> pd.DataFrame:
    """The same ranking and mean risk, and log odds thrice as far from it."""
    level = np.log(rows["y"].mean() / (1 - rows["y"].mean()))
    score = level + 3 * (rows["score"] - rows["score"].mean())
    return rows.assign(score=score, probability=sigmoid(score.to_numpy()))


def noisy(outcome: np.ndarray) -> np.ndarray:
    """AUROC about 0.95."""
    return outcome * 2.3 + np.random.default_rng(5).normal(size=len(outcome))


def missing_for_others(outcome: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(6)
    known = (outcome == 1) != (rng.random(len(outcome)) < 0.05)
    return np.where(known, rng.normal(size=len(outcome)), np.nan)


def random_numbers(outcome: np.ndarray) -> np.ndarray:
    return np.random.default_rng(7).normal(size=len(outcome))


def staging(name: str, **rest: object) -> Column:
    return Column(name, "numeric", "staging", **({"measured": "diagnosis"} | rest))  # type: ignore[arg-type]


def label_matched(subject: AuditSubject) -> AuditSubject:
    return with_cohort(subject, linkage="label_matched")


def few_patients(subject: AuditSubject) -> AuditSubject:
    return complete(make_subject(clean_cohort(patients=64)))


def encoder_of_nobody_knows_whom(subject: AuditSubject) -> AuditSubject:
    untold = dataclasses.replace(FROZEN, backbone="uni", trained_on="unknown")
    encoders = {key: {**own, "uni": untold} for key, own in subject.encoders.items()}
    return dataclasses.replace(subject, encoders=encoders)


PLANTS: dict[str, Plant] = {
    "patient_across_folds": patient_twice,
    "lesion_across_folds": shared_image_fact("lesion_id"),
    "copied_images_across_folds": shared_image_fact("sha256"),
    "clinical_row_reused": lent_row,
    "transform_saw_test": fitted_on_everyone("fitted on", "imputation"),
    "selection_on_test": fitted_on_everyone("selected on", "epoch"),
    "encoder_saw_test": encoder_of_everyone,
    "encoder_training": encoder_of_nobody_knows_whom,
    "outcome_copy": plant_column(staging("status"), lambda y: 3 - 2 * y),
    "univariate_auc": plant_column(staging("marker"), noisy),
    "missingness_auc": plant_column(staging("sampled"), missing_for_others),
    "measured_after": plant_column(staging("late", measured="follow_up"), random_numbers),
    "deny_listed": plant_column(staging("days_to_event"), random_numbers),
    "site_association": site_of_outcome,
    "acquisition_shortcut": larger_files,
    "order_leak": sorted_by_outcome,
    "events_per_predictor": few_patients,
    "label_matched": label_matched,
    "permuted_floor": rescored(FLOOR, lambda rows: knowing(rows, 0.6)),
    "too_good": rescored(ARM, knowing),
    "calibration_drift": rescored(ARM, oversampled),
    "transform_saw_test, untold": without_record("fitted on"),
    "selection_on_test, untold": without_record("selected on"),
    "calibration_drift, slope": rescored(ARM, overconfident),
}
"""By the check that must catch it; what follows a comma is another way to leak."""


def check_of(name: str) -> str:
    return name.split(",")[0]


@pytest.fixture(scope="module")
def clean() -> AuditSubject:
    return complete(make_subject(clean_cohort()))


def test_the_clean_cohort_raises_none(clean: AuditSubject) -> None:
    report = run_audit(clean)
    assert [(r.check.name, r.hits) for r in report.fired] == []
    # One column has missing values, and the image files are names alone.
    silent = [r.check.name for r in report.results if r.status == "not_applicable"]
    # No embedding came from elsewhere.
    assert silent == ["encoder_training", "joint_missingness_auc", "file_headers"]


def test_every_check_has_a_leak() -> None:
    planted = {check_of(name) for name in PLANTS} | {check for _, check, _ in LEAKS.values()}
    # Those of times alone have theirs in `test_times_audit`.
    assert planted == {check.name for check in CHECKS if check.kind != "time_to_event"}


@pytest.mark.parametrize("name", PLANTS)
def test_a_leak_is_caught_by_its_own_check(name: str, clean: AuditSubject) -> None:
    report = run_audit(PLANTS[name](clean))
    result = next(r for r in report.results if r.check.name == check_of(name))
    assert result.status == "fired"
    assert all(hit.text.endswith(".") for hit in result.hits)
    assert unexpected(report, check_of(name)) == []


# What a planted leak cannot but be at the same time.
ALSO = {
    "outcome_copy": {"univariate_auc", "joint_auc"},
    "univariate_auc": {"joint_auc"},
    "missingness_auc": {"events_per_predictor", "joint_auc"},  # one column more, and trees see it
    "too_good": {"calibration_drift"},
}


def unexpected(report: AuditReport, name: str) -> list[str]:
    """Other checks than the leak's own that fired, in a sentence each."""
    allowed = {name} | ALSO.get(name, set())
    return [
        f"{r.check.name}: {r.hits[0].text}" for r in report.fired if r.check.name not in allowed
    ]


@pytest.mark.parametrize(
    "name",
    ["patient_across_folds", "lesion_across_folds", "copied_images_across_folds",
     "clinical_row_reused", "transform_saw_test", "selection_on_test", "encoder_saw_test",
     "label_matched", "permuted_floor", "outcome_copy", "too_good"],
)  # fmt: skip
def test_what_invalidates_says_so(name: str, clean: AuditSubject) -> None:
    assert run_audit(PLANTS[name](clean)).invalidated


def test_a_result_above_95_counts_until_it_is_accepted_by_name(clean: AuditSubject) -> None:
    leaky = PLANTS["too_good"](clean)
    accept = [
        Acceptance("too_good", ARM, "the marker is the definition of the outcome"),
        Acceptance("calibration_drift", ARM, "so are its risks"),
    ]
    report = run_audit(leaky, accept)
    assert not report.invalidated
    (result,) = (r for r in report.results if r.check.name == "too_good")
    assert (result.status, result.accepted[0].severity) == ("accepted", "invalidates")
    other = run_audit(leaky, [Acceptance("too_good", "another arm", "why not")])
    assert other.invalidated


def test_a_result_above_the_ceiling_but_not_above_95_warns(clean: AuditSubject) -> None:
    good = rescored(ARM, lambda rows: knowing(rows, 1.0))(clean)
    report = run_checks([check for check in CHECKS if check.name == "too_good"], good)
    (result,) = report.results
    assert result.status == "fired"
    assert 0.90 < (result.hits[0].value or 0) <= 0.95
    assert result.severity == "warning"


def test_a_strong_planted_model_is_no_leak(clean: AuditSubject) -> None:
    strong = with_cohort(rescored(ARM, knowing)(clean), facts={"oracle_auroc": 0.999})
    report = run_checks([check for check in CHECKS if check.name == "too_good"], strong)
    assert report.results[0].status == "clear"
