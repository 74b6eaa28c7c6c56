"""Cohorts, folds and plans for feature tables with times to an event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.cohort.folds import Folds, make_folds
from featurestore.cohort.tables import Cohort
from featurestore.outcomes import ENTRY, TIME, Outcome, ValueRule
from featurestore.tables.exclusions import exclusions_table
from fusion.config import AblationConfig
from fusion.evaluation import Plan
from fusion.features.table import FeatureTable
from fusion.testing.times import (
    CONFIG,
    DESIGN,
    DICTIONARY,
    HARD,
    HORIZONS,
    MODALITIES,
    times_table,
)

__all__ = [
    "CONFIG",
    "DESIGN",
    "DICTIONARY",
    "HARD",
    "HORIZONS",
    "MODALITIES",
    "cohort_of_times",
    "folds_of_times",
    "plan_of_times",
    "times_table",
]

OUTCOME = Outcome(
    "synthetic_survival",
    "Simulated.",
    "patient",
    "diagnosis",
    ValueRule("event"),
    kind="time_to_event",
    horizons=HORIZONS,
)


def cohort_of_times(table: FeatureTable) -> Cohort:
    """The cohort that a table would have come from; without image files."""
    first = np.unique(table.patient_ids.astype(str), return_index=True)[1]
    target = table.target.take(first)
    patients = table.columns.iloc[first].reset_index(drop=True)
    patients.insert(0, "patient_id", table.patient_ids[first].astype(str))
    patients.insert(1, "person_id", patients["patient_id"])
    patients = patients.assign(
        outcome=target.event, site="S1", **{TIME: target.time, ENTRY: target.entry}
    )
    names = ("lesion_id", "path", "sha256", "duplicate_cluster")
    images = pd.DataFrame(
        {"image_id": table.row_ids.astype(str), "patient_id": table.patient_ids.astype(str)}
    )
    images = images.assign(**dict.fromkeys(names, images["image_id"]))
    images = images.assign(width=1, height=1, source="test", licence="none", attribution="")
    return Cohort("test", OUTCOME, images, patients, table.dictionary, exclusions_table())


def folds_of_times(cohort: Cohort, n_folds: int = 3, seed: int = 0) -> Folds:
    """Outer folds of a cohort without copies."""
    groups = {patient: patient for patient in cohort.patients["patient_id"]}
    return make_folds(cohort.patients, groups, n_folds, 1, seed)


def plan_of_times(work: Path, config: AblationConfig = CONFIG, seed: int = 0) -> Plan:
    """A plan for `OUTCOME`."""
    return Plan(config, seed, "test", work, "d", kind=OUTCOME.kind, horizons=OUTCOME.horizons)
