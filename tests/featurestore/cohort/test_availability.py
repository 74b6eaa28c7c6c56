"""Patients counted by the modalities that they have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort.availability import MOST_COMBINATIONS, REST, availability
from featurestore.cohort.tables import IMAGE_COLUMNS, Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table


def cohort_of(columns: dict[str, list[float]], pictured: list[str]) -> Cohort:
    n = len(next(iter(columns.values())))
    ids = [f"P{k}" for k in range(n)]
    patients = pd.DataFrame({"patient_id": ids, "person_id": ids, "site": "S", **columns})
    patients["outcome"] = (np.arange(n) % 2).astype(float)
    images = pd.DataFrame(dict.fromkeys(IMAGE_COLUMNS, pictured)).assign(patient_id=pictured)
    dictionary = DataDictionary(Column(name, "numeric", name[0]) for name in columns)
    outcome = OUTCOMES["synthetic_metastasis"]
    return Cohort("made", outcome, images, patients, dictionary, exclusions_table())


def test_a_group_is_there_if_any_of_its_columns_is() -> None:
    nan = float("nan")
    made = cohort_of({"a1": [1, nan, nan, 1], "a2": [nan, 1, nan, 1], "b1": [1, 1, nan, nan]},
                     ["P0", "P1", "P2"])  # fmt: skip
    found = availability(made).set_index("has")
    assert found["n"].to_dict() == {"images + a + b": 2, "images": 1, "a": 1}
    assert found.loc["images + a + b", "events"] == 1
    assert found["n"].sum() == made.n_patients
    assert found["events"].sum() == made.n_events


def test_columns_that_models_never_see_do_not_count() -> None:
    made = cohort_of({"a1": [1, 1], "b1": [1, 1]}, [])
    hidden = dataclasses.replace(made, dictionary=made.dictionary.flagged(["b1"]))
    assert list(availability(hidden)["has"]) == ["a"]


def test_nobody_is_lost_where_there_are_many_combinations() -> None:
    bits = np.arange(32)
    columns = {f"{name}1": [1.0 if b >> k & 1 else np.nan for b in bits]
               for k, name in enumerate("abcde")}  # fmt: skip
    found = availability(cohort_of(columns, ["P0"]))
    assert len(found) == MOST_COMBINATIONS + 1
    assert found["has"].iloc[-1] == f"{32 - MOST_COMBINATIONS} {REST}"
    assert found["n"].sum() == 32
    assert found["events"].sum() == 16
