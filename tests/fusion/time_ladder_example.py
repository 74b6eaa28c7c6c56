"""A cohort with late specimens whose hazards are known, and its features; no file is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import ENTRY, OUTCOMES, TIME, Target
from featurestore.sources.synthetic_late import draw_late_specimens, late_columns
from featurestore.sources.synthetic_model import Effects, draw_patients
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.arms import Modality
from fusion.features.table import FeatureTable

CLINICAL = Column("factor", "numeric", "histopathology", measured="diagnosis")
MODALITIES = (
    Modality("net", embeddings=("net",)),
    Modality("clinical", groups=("histopathology",)),
)


def late_cohort(patients: int = 160, seed: int = 0, late: float = 0.7) -> Cohort:
    """Everyone's time counts from diagnosis; one slide a patient, taken with the specimen."""
    drawn = draw_patients(patients, 24, 0.4, Effects(), False, np.random.SeedSequence(seed))
    rows = draw_late_specimens(drawn.truth, late, seed)
    ids = rows.index.to_numpy(dtype=str)
    table = pd.DataFrame(
        {
            "patient_id": ids,
            "person_id": ids,
            "outcome": rows["synthetic_death"].to_numpy(),
            TIME: rows["synthetic_survival"].to_numpy(),
            ENTRY: 0.0,
            "site": "S1",
            "factor": drawn.truth.loc[rows.index, "clinical_factor"].to_numpy(),
            "days_to_specimen": rows["days_to_specimen"].to_numpy(),
            "specimen_type": rows["specimen_type"].to_numpy(),
            "image_factor": drawn.truth.loc[rows.index, "image_factor"].to_numpy(),
        }
    )
    names = ("image_id", "patient_id", "sha256", "duplicate_cluster")
    images = pd.DataFrame(dict.fromkeys(names, ids)).assign(
        lesion_id="", path="", width=0, height=0, source="made", licence="", attribution=""
    )
    outcome = OUTCOMES["synthetic_survival"]
    dictionary = DataDictionary([CLINICAL, *late_columns()])
    days = {"specimen": "days_to_specimen"}
    return Cohort(
        "late",
        outcome,
        images,
        table,
        dictionary.dated(days).flagged(["days_to_specimen", "specimen_type"]),
        exclusions_table(),
        features={"net": dict(zip(ids, ids, strict=True))},
        features_measured={"net": "specimen"},
        known_on=days,
    )


def late_table(cohort: Cohort, seed: int = 0) -> FeatureTable:
    """The first of eight numbers of each slide is the image factor, blurred."""
    people = cohort.patients.sort_values("patient_id", ignore_index=True)
    ids = people["patient_id"].to_numpy(dtype=object)
    rng = np.random.default_rng(seed)
    net = rng.normal(size=(len(ids), 8))
    net[:, 0] += 3 * people["image_factor"]
    usable = DataDictionary(cohort.dictionary.features())
    return FeatureTable(
        row_ids=ids,
        patient_ids=ids,
        groups=ids,
        target=Target.time_to_event(people["outcome"].to_numpy(), people[TIME].to_numpy()),
        embeddings={"net": net.astype(np.float32)},
        columns=people[usable.names],
        dictionary=usable,
    )


def without_day(cohort: Cohort) -> Cohort:
    """The same, but nobody wrote down when specimens were taken."""
    return dataclasses.replace(cohort, known_on={})
