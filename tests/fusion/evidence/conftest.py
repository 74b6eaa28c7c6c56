"""A cohort large enough for subgroups and pairs, and made-up predictions of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from collect_example import gather, make_cohort, make_predictions

from featurestore.cohort.tables import Cohort
from fusion.evaluation.predictions import predictions_table
from fusion.evidence import Evidence
from fusion.evidence.aligned import AlignedPredictions, align
from fusion.metrics.logits import sigmoid
from tests.fusion.conftest import cohort_of, feature_table


@pytest.fixture(scope="package")
def large() -> Cohort:
    cohort = cohort_of(feature_table(400))
    patients = cohort.patients.rename(columns={"age_at_diagnosis": "age"})
    patients["site"] = np.where(np.arange(len(patients)) % 40 == 0, "rare", "S1")
    dictionary = [
        dataclasses.replace(c, name="age") if c.name == "age_at_diagnosis" else c
        for c in cohort.dictionary
    ]
    return dataclasses.replace(
        cohort, patients=patients, dictionary=type(cohort.dictionary)(dictionary)
    )


@pytest.fixture(scope="package")
def aligned(large: Cohort) -> AlignedPredictions:
    patients = large.patients
    rng = np.random.default_rng(0)
    y = patients["outcome"].to_numpy()
    breslow = np.log(patients["breslow"].fillna(1.0).to_numpy())
    arms = {
        "clinical_reference": breslow,
        "head[all]": breslow + 1.5 * y + rng.normal(size=len(y)),
        "copy[all]": breslow + 0.01 * rng.normal(size=len(y)),
    }
    parts = [
        pd.DataFrame(
            {
                "run": "r",
                "arm": arm,
                "model": arm.split("[")[0],
                "modalities": "clinical" if arm == "clinical_reference" else "net_a+clinical",
                "design": "ablation",
                "repeat": 0,
                "fold": np.arange(len(y)) % 5,
                "patient_id": patients["patient_id"],
                "y": y,
                "score": score,
                "probability": sigmoid(score),
                "threshold": 0.5,
            }
        )
        for arm, score in arms.items()
    ]
    return align(predictions_table(parts, "binary"), "head[all]")


@pytest.fixture(scope="package")
def studied() -> Cohort:
    return make_cohort()


@pytest.fixture(scope="package")
def predictions(studied: Cohort) -> pd.DataFrame:
    return make_predictions(studied)


@pytest.fixture(scope="package")
def evidence(studied: Cohort, predictions: pd.DataFrame) -> Evidence:
    return gather(studied, predictions)
