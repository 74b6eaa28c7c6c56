"""A small clean cohort with times to an event, to plant faults into."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from audit_example import CLINICAL, clean_cohort, make_subject, with_column

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import ENTRY, TIME
from featurestore.tables.dictionary import Column
from fusion.audit import AuditSubject
from fusion.config import ModalityConfig
from fusion.evaluation.predictions import predictions_table

YEAR = 365.25


def clean_times(patients: int = 400, seed: int = 0) -> Cohort:
    """Times depend on thickness and stage; follow-up ends at a time that depends on nothing."""
    cohort = clean_cohort(patients, seed)
    rng = np.random.default_rng(seed + 1000)
    table = cohort.patients
    stage = table["stage"].map({"I": -1.0, "II": 0.0, "III": 0.7, "IV": 1.2}).to_numpy(float)
    risk = 0.7 * stage + 0.3 * np.log(table["breslow"].fillna(2.0).to_numpy(float))
    event = 6 * YEAR * (rng.exponential(size=patients) / np.exp(risk)) ** (1 / 1.2)
    lost = rng.uniform(0.5 * YEAR, 10 * YEAR, size=patients)
    code = (event <= lost).astype(float)
    days = np.maximum(np.ceil(np.minimum(event, lost)), 1.0)
    other = (rng.random(patients) < 0.1) & (code == 1)
    patients_table = table.assign(outcome=np.where(other, 2.0, code), **{TIME: days, ENTRY: 0.0})
    outcome = dataclasses.replace(
        cohort.outcome, kind="time_to_event", horizons=(2 * YEAR, 5 * YEAR)
    )
    return dataclasses.replace(cohort, patients=patients_table, outcome=outcome)


def with_times(cohort: Cohort, **columns: object) -> AuditSubject:
    """A subject of the cohort with other columns, whose folds are those of the clean one."""
    subject = make_subject(cohort)
    changed = dataclasses.replace(cohort, patients=cohort.patients.assign(**columns))
    return dataclasses.replace(subject, cohort=changed)


def with_predictions(subject: AuditSubject, scores: dict[str, np.ndarray]) -> AuditSubject:
    """The subject with predictions by model; scores in the order of the patients table."""
    patients, parts = subject.cohort.patients, []
    for model, score in scores.items():
        for repeat in subject.folds.repeats:
            parts.append(
                pd.DataFrame(
                    {
                        "run": "r",
                        "arm": model,
                        "model": model,
                        "modalities": "clinical",
                        "design": "ablation",
                        "repeat": repeat,
                        "fold": patients["patient_id"].map(subject.folds.tested(repeat)),
                        "patient_id": patients["patient_id"],
                        "event": patients["outcome"],
                        "time": patients[TIME],
                        "entry": patients[ENTRY],
                        "score": score,
                        "risk_group": 0,
                        "risk_at_730.5": 0.3,
                    }
                )
            )
    return dataclasses.replace(subject, predictions=predictions_table(parts, "time_to_event"))


DAY = Column("days_to_specimen", "numeric", "specimen", unit="days", measured="specimen")
MUTATIONS = Column("mutations", "numeric", "mutation", measured="specimen")


def late_times(patients: int = 400, seed: int = 0) -> Cohort:
    """Clean as well: two in three specimens came late, and everyone is at risk from theirs on.

    A mutation count and the slides of an encoder became known with the specimen.
    """
    cohort = clean_times(patients, seed)
    rng = np.random.default_rng(seed + 2000)
    late = np.ceil(rng.lognormal(np.log(500), 0.8, patients))
    day = np.where(rng.random(patients) < 0.66, late, 0.0)
    days = {"specimen": DAY.name}
    cohort = with_column(cohort, DAY, day)
    cohort = with_column(cohort, MUTATIONS, rng.poisson(300, patients).astype(float))
    ids = cohort.patients["patient_id"]
    return dataclasses.replace(
        cohort,
        patients=cohort.patients.assign(**{TIME: cohort.patients[TIME] + day, ENTRY: day}),
        outcome=dataclasses.replace(cohort.outcome, as_of_time="specimen", deny=()),
        dictionary=cohort.dictionary.dated(days).flagged([DAY.name]),
        features={"hif": dict(zip(ids, ids, strict=True))},
        features_measured={"hif": "specimen"},
        known_on=days,
    )


def late_subject(cohort: Cohort) -> AuditSubject:
    """Arms see clinical columns, mutations and slides."""
    subject = make_subject(cohort, (*CLINICAL, "mutation"))
    seen = {**(subject.ablation.modalities or {}), "hif": ModalityConfig(embeddings=("hif",))}
    ablation = subject.ablation.model_copy(update={"modalities": seen})
    return dataclasses.replace(subject, ablation=ablation)
