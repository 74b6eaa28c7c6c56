"""A cohort checks its ids and does not depend on row order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.tables import IMAGE_COLUMNS, Cohort
from featurestore.errors import DataError
from featurestore.outcomes import OUTCOMES
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table


def small_cohort() -> Cohort:
    images = pd.DataFrame("", index=range(3), columns=list(IMAGE_COLUMNS))
    images["image_id"] = ["i1", "i2", "i3"]
    images["patient_id"] = ["p1", "p1", "p2"]
    patients = pd.DataFrame(
        {
            "patient_id": ["p1", "p2"],
            "person_id": ["p1", "p2"],
            "outcome": [1.0, 0.0],
            "site": ["unknown", "unknown"],
            "age": [50.0, np.nan],
        }
    )
    return Cohort(
        name="small",
        outcome=OUTCOMES["melanoma"],
        images=images,
        patients=patients,
        dictionary=DataDictionary([Column("age", "numeric", "demographic")]),
        exclusions=exclusions_table(),
    )


def test_counts() -> None:
    cohort = small_cohort()
    assert (cohort.n_patients, cohort.n_events, cohort.prevalence) == (2, 1, 0.5)


def test_the_digest_ignores_row_order_only() -> None:
    cohort = small_cohort()
    shuffled = dataclasses.replace(
        cohort, images=cohort.images.iloc[::-1], patients=cohort.patients.iloc[::-1]
    )
    changed = dataclasses.replace(cohort, patients=cohort.patients.assign(age=[50.0, 1.0]))
    assert shuffled.digest() == cohort.digest()
    assert changed.digest() != cohort.digest()


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("images", {"image_id": ["i1", "i1", "i3"]}, "duplicate image_id .*: i1"),
        ("images", {"patient_id": ["p1", "p1", "p9"]}, "not in the patients table: p9"),
        ("patients", {"patient_id": ["p1", "p1"]}, "duplicate patient_id .*: p1"),
    ],
)
def test_wrong_ids_are_named(field: str, change: dict[str, list[str]], said: str) -> None:
    cohort = small_cohort()
    with pytest.raises(DataError, match=said):
        dataclasses.replace(cohort, **{field: getattr(cohort, field).assign(**change)})


def test_missing_columns_are_named() -> None:
    cohort = small_cohort()
    with pytest.raises(DataError, match="patients table lacks the columns age"):
        dataclasses.replace(cohort, patients=cohort.patients.drop(columns="age"))
