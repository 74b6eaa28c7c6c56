"""Small feature tables, and the cohorts that they would have come from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.folds import Folds, make_folds
from featurestore.cohort.tables import Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.tables.exclusions import exclusions_table
from fusion.arms import Modality
from fusion.features.table import FeatureTable
from fusion.testing.tables import MODALITIES, bagged, feature_table, pictured

TableMaker = Callable[..., FeatureTable]


def cohort_of(table: FeatureTable) -> Cohort:
    """The cohort that a table would have come from; without image files."""
    first = np.unique(table.patient_ids.astype(str), return_index=True)[1]
    patients = table.columns.iloc[first].reset_index(drop=True)
    patients.insert(0, "patient_id", table.patient_ids[first].astype(str))
    patients.insert(1, "person_id", patients["patient_id"])
    patients.insert(2, "outcome", table.y[first])
    patients.insert(3, "site", "S1")
    images = pd.DataFrame(
        {"image_id": table.row_ids.astype(str), "patient_id": table.patient_ids.astype(str)}
    )
    images = images.assign(
        lesion_id=images["image_id"],
        path=images["image_id"] + ".jpg",
        sha256=images["image_id"],
        width=1,
        height=1,
        duplicate_cluster=images["image_id"],
        source="test",
        licence="none",
        attribution="",
    )
    return Cohort(
        "test",
        OUTCOMES["synthetic_metastasis"],
        images,
        patients,
        table.dictionary,
        exclusions_table(),
    )


@pytest.fixture(scope="session")
def make_table() -> TableMaker:
    """Builds a feature table: patients, seed, dims."""
    return feature_table


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    """120 patients, with pictures and bags of tiles; do not change it."""
    made = pictured(feature_table(), tmp_path_factory.mktemp("pictures"))
    return bagged(made, tmp_path_factory.mktemp("bags"))


@pytest.fixture(scope="session")
def modalities() -> tuple[Modality, ...]:
    """One embedding and two kinds of patient columns."""
    return MODALITIES


@pytest.fixture(scope="session")
def cohort(table: FeatureTable) -> Cohort:
    """The cohort of `table`."""
    return cohort_of(table)


def folds_of(cohort: Cohort) -> Folds:
    """Three outer folds of a cohort without copies."""
    groups = {patient: patient for patient in cohort.patients["patient_id"]}
    return make_folds(cohort.patients, groups, n_folds=3, repeats=1, seed=0)


@pytest.fixture(scope="session")
def make_cohort() -> Callable[[FeatureTable], Cohort]:
    """Builds the cohort of a table."""
    return cohort_of


@pytest.fixture(scope="session")
def make_fold_table() -> Callable[[Cohort], Folds]:
    """Builds three outer folds of a cohort."""
    return folds_of


@pytest.fixture(scope="session")
def folds(cohort: Cohort) -> Folds:
    """Three outer folds of `table`."""
    return folds_of(cohort)
