"""Small feature tables whose outcome depends on an image, a clinical and an expression factor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort import Cohort, exclusions_table
from featurestore.dictionary import Column, DataDictionary
from featurestore.folds import make_folds
from featurestore.outcomes import OUTCOMES
from fusion.arms import Modality
from fusion.features import FeatureTable

DICTIONARY = DataDictionary(
    [
        Column("age_at_diagnosis", "numeric", "demographic", unit="years"),
        Column("sex", "nominal", "demographic", levels=("female", "male")),
        Column("breslow", "numeric", "histopathology", "Breslow thickness", unit="mm"),
        Column("ulceration", "binary", "histopathology"),
        Column("stage", "ordinal", "staging", levels=("I", "II", "III")),
        *(Column(f"GENE{i}", "expression", "expression", unit="RSEM") for i in range(6)),
    ]
)
MODALITIES = (
    Modality("net_a", embeddings=("net_a",)),
    Modality("clinical", groups=("demographic", "histopathology", "staging")),
    Modality("expression", groups=("expression",)),
)
TableMaker = Callable[..., FeatureTable]


def feature_table(patients: int = 120, seed: int = 0, dims: int = 12) -> FeatureTable:
    """Every third patient has two images, every ninth none; clinical values are missing too."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(patients, 3))
    chance = 1 / (1 + np.exp(-(1.6 * factor.sum(axis=1) - 0.7)))
    y = (rng.random(patients) < chance).astype(float)
    breslow = np.exp(0.5 * factor[:, 1] + 0.2 * rng.normal(size=patients))
    genes = np.exp2(8 + factor[:, [2]] + rng.normal(size=(patients, 6)))
    frame = pd.DataFrame(
        {
            "age_at_diagnosis": np.round(60 + 10 * rng.normal(size=patients)),
            "sex": rng.choice(["female", "male"], size=patients),
            "breslow": np.where(rng.random(patients) < 0.15, np.nan, breslow),
            "ulceration": (factor[:, 1] + rng.normal(size=patients) > 0).astype(float),
            "stage": np.array(["I", "II", "III"])[np.digitize(factor[:, 1], [-0.5, 0.7])],
            **{f"GENE{i}": genes[:, i] for i in range(6)},
        }
    )
    frame.loc[::7, [f"GENE{i}" for i in range(6)]] = np.nan
    frame.loc[::11, "sex"] = None
    ids = np.array([f"P{i:04d}" for i in range(patients)], dtype=object)
    owner = np.concatenate([np.arange(patients), np.arange(0, patients, 3)])
    owner.sort(kind="stable")
    embedding = rng.normal(size=(len(owner), dims)).astype(np.float32)
    embedding[:, 0] += 2 * factor[owner, 0].astype(np.float32)
    embedding[owner % 9 == 1] = np.nan
    rows = np.array([f"I{k:05d}" for k in range(len(owner))], dtype=object)
    return FeatureTable(
        row_ids=rows,
        patient_ids=ids[owner],
        groups=ids[owner],
        y=y[owner],
        embeddings={"net_a": embedding},
        columns=frame.iloc[owner].reset_index(drop=True),
        dictionary=DICTIONARY,
    )


def cohort_of(table: FeatureTable) -> Cohort:
    """The cohort that a table would have come from; without image files."""
    first = np.unique(table.patient_ids.astype(str), return_index=True)[1]
    patients = table.columns.iloc[first].reset_index(drop=True)
    patients.insert(0, "patient_id", table.patient_ids[first].astype(str))
    patients.insert(1, "outcome", table.y[first])
    patients.insert(2, "site", "S1")
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
def table() -> FeatureTable:
    """120 patients; do not change it."""
    return feature_table()


@pytest.fixture(scope="session")
def modalities() -> tuple[Modality, ...]:
    """One embedding and two kinds of patient columns."""
    return MODALITIES


@pytest.fixture(scope="session")
def cohort(table: FeatureTable) -> Cohort:
    """The cohort of `table`."""
    return cohort_of(table)


def folds_of(cohort: Cohort) -> pd.DataFrame:
    """Three outer folds of a cohort without copies."""
    groups = {patient: patient for patient in cohort.patients["patient_id"]}
    return make_folds(cohort.patients, groups, n_folds=3, repeats=1, seed=0)


@pytest.fixture(scope="session")
def make_cohort() -> Callable[[FeatureTable], Cohort]:
    """Builds the cohort of a table."""
    return cohort_of


@pytest.fixture(scope="session")
def make_fold_table() -> Callable[[Cohort], pd.DataFrame]:
    """Builds three outer folds of a cohort."""
    return folds_of


@pytest.fixture(scope="session")
def folds(cohort: Cohort) -> pd.DataFrame:
    """Three outer folds of `table`."""
    return folds_of(cohort)
