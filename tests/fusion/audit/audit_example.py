"""A small clean cohort to plant leaks into: patients, two images each, folds; nothing is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort.folds import Folds, make_folds
from featurestore.cohort.groups import patient_groups
from featurestore.cohort.tables import Cohort
from featurestore.outcomes import Outcome, ValueRule
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.audit import CHECKS, AuditSubject, Check, CheckResult
from fusion.audit.run import run_checks
from fusion.config import AblationConfig, ModalityConfig

OUTCOME = Outcome(
    "event",
    "An invented event.",
    "patient",
    "diagnosis",
    ValueRule("event"),
    deny=("days_to_*",),
    as_of_time="diagnosis",
)
COLUMNS = (
    Column("age", "numeric", "demographic", unit="years", measured="diagnosis"),
    Column("sex", "nominal", "demographic", levels=("female", "male"), measured="diagnosis"),
    Column("breslow", "numeric", "histopathology", unit="mm", measured="diagnosis"),
    Column("stage", "ordinal", "staging", levels=("I", "II", "III", "IV"), measured="diagnosis"),
)
CLINICAL = ("demographic", "histopathology", "staging")


def make_subject(cohort: Cohort, columns: tuple[str, ...] = CLINICAL) -> AuditSubject:
    """Two repeats of four folds that keep copies together; arms on the clinical groups."""
    groups = patient_groups(cohort.patients, cohort.images)
    folds = make_folds(cohort.patients, groups, n_folds=4, repeats=2, seed=1)
    ablation = AblationConfig(
        modalities={"clinical": ModalityConfig(groups=columns)},
        models=("logistic_regression",),
        arms=(),
    )
    return AuditSubject(cohort, groups, folds, ablation, {}, seed=0)


def clean_cohort(patients: int = 640, seed: int = 0) -> Cohort:
    """Patients whose outcome depends on thickness, stage and age as it does in the clinic."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=patients)
    age = np.round(np.clip(60 + 14 * rng.normal(size=patients), 18, 95))
    chance = 1 / (1 + np.exp(-(0.9 * factor + 0.03 * (age - 60) - 0.5)))
    breslow = np.round(np.exp(0.7 + 0.8 * (0.8 * factor + 0.6 * rng.normal(size=patients))), 2)
    stage = np.digitize(0.7 * factor + 0.7 * rng.normal(size=patients), [-0.8, 0.3, 1.5])
    ids = [f"IP_{n}" for n in 1_000_000 + rng.choice(9_000_000, size=patients, replace=False)]
    table = pd.DataFrame(
        {
            "patient_id": pd.Series(ids, dtype="str"),
            "person_id": pd.Series(ids, dtype="str"),
            "outcome": (rng.random(patients) < chance).astype(float),
            "site": rng.choice(["S1", "S2", "S3", "S4"], size=patients),
            "age": age,
            "sex": rng.choice(["female", "male"], size=patients),
            "breslow": np.where(rng.random(patients) < 0.15, np.nan, breslow),
            "stage": np.array(["I", "II", "III", "IV"])[stage],
        }
    )
    return Cohort(
        "clean",
        OUTCOME,
        _images(ids, rng),
        table.sort_values("patient_id", ignore_index=True),
        DataDictionary(COLUMNS),
        exclusions_table(),
        file_order={patient: place for place, patient in enumerate(ids)},
    )


def _images(ids: list[str], rng: np.random.Generator) -> pd.DataFrame:
    n = 2 * len(ids)
    numbers = rng.choice(9_000_000, size=n, replace=False)
    width = rng.choice([600, 1024, 2048], size=n)
    images = pd.DataFrame(
        {
            "image_id": [f"ISIC_{number:07d}" for number in numbers],
            "patient_id": np.repeat(ids, 2),
            "lesion_id": [f"IL_{k:07d}" for k in np.repeat(np.arange(len(ids)), 2)],
        }
    )
    return images.assign(
        path=images["image_id"] + ".jpg",
        sha256=[f"{number:064x}" for number in numbers],
        width=width,
        height=width * 3 // 4,
        duplicate_cluster=[f"{number:016x}" for number in numbers],
        source="test",
        licence="none",
        attribution="",
        file_bytes=(width**2 * rng.uniform(0.1, 0.3, size=n)).astype(int),
        exif_orientation=1,
        has_exif=rng.random(n) < 0.5,
    )


def with_column(cohort: Cohort, column: Column, values: object) -> Cohort:
    """Adds a column; values in the order of the patients table."""
    return dataclasses.replace(
        cohort,
        patients=cohort.patients.assign(**{column.name: values}),
        dictionary=DataDictionary([*cohort.dictionary, column]),
    )


def find_check(name: str) -> Check:
    """The registered check of this name."""
    return next(check for check in CHECKS if check.name == name)


def run_one(name: str, subject: AuditSubject) -> CheckResult:
    """What one check says of a subject."""
    return run_checks([find_check(name)], subject).results[0]


def shuffled(subject: AuditSubject, seed: int = 3) -> AuditSubject:
    """The same subject with the rows of every table in another order."""
    cohort = dataclasses.replace(
        subject.cohort,
        images=subject.cohort.images.sample(frac=1, random_state=seed),
        patients=subject.cohort.patients.sample(frac=1, random_state=seed),
    )
    folds = Folds(subject.folds.table.sample(frac=1, random_state=seed))
    return dataclasses.replace(subject, cohort=cohort, folds=folds)
