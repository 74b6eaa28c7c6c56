"""Outcomes over the canonical columns of TCGA-SKCM."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from featurestore.outcomes import OUTCOMES, Outcome
from featurestore.tables.dictionary import DataDictionary, known_later
from featurestore.tables.vocabulary import VOCABULARY

DICTIONARY = DataDictionary([term.column for term in VOCABULARY.values()])
NO_IMAGES = pd.DataFrame({"patient_id": []})
PATIENTS = pd.DataFrame(
    {
        "patient_id": ["a", "b", "c", "d", "e"],
        "specimen_type": ["metastatic", "primary", "primary", None, "metastatic"],
        "m_stage": ["M0", "M1c", None, "M0", "M1"],
        "n_stage": ["N0", "N2b", "N1", None, "N0"],
        "stage": ["IIC", "IV", "IIIA", None, "0"],
        "distant_metastasis": [1.0, 0.0, 1.0, 1.0, np.nan],
    }
)
TCGA = {
    "specimen_metastatic": [1, 0, 0, np.nan, 1],
    "m1_at_diagnosis": [0, 1, np.nan, 0, 1],
    "node_positive": [0, 1, 1, np.nan, 0],
    "stage_iv": [0, 1, 0, np.nan, 0],
    "distant_metastasis": [1, 0, 1, 1, np.nan],
    "distant_metastasis_primary_only": [1, 0, 1, 1, np.nan],
}


@pytest.mark.parametrize("name", TCGA)
def test_labels(name: str) -> None:
    labels = OUTCOMES[name].labels(PATIENTS, NO_IMAGES, DICTIONARY)
    np.testing.assert_array_equal(labels.loc[list("abcde")], TCGA[name])


def test_primary_only_studies_patients_with_a_primary_specimen() -> None:
    outcome = OUTCOMES["distant_metastasis_primary_only"]
    eligible = outcome.eligible(PATIENTS, DICTIONARY)
    assert eligible[eligible].index.tolist() == ["b", "c"]
    assert OUTCOMES["distant_metastasis"].eligible(PATIENTS, DICTIONARY).all()


def test_the_state_of_the_specimen_says_that_it_is_no_prognosis() -> None:
    caveat = OUTCOMES["specimen_metastatic"].caveats[0]
    assert "tissue state, not prognosis" in caveat


@pytest.mark.parametrize("outcome", [OUTCOMES[name] for name in TCGA], ids=lambda o: o.name)
def test_every_outcome_is_complete(outcome: Outcome) -> None:
    assert outcome.definition.endswith(".")
    assert outcome.caveats
    assert outcome.as_of_time in ("diagnosis", "specimen")
    denied = set(outcome.denied(DICTIONARY.names))
    assert set(outcome.rule.columns) <= denied
    # What is left to models is known by then.
    late = {c.name for c in DICTIONARY if known_later(c.measured, outcome.as_of_time)}
    assert not (set(DICTIONARY.names) - denied - late) & {
        "vital_status", "os_months", "days_to_death", "new_tumor_event", "tumour_status"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "revealing"),
    [
        ("specimen_metastatic", {"specimen_type", "specimen_site", "days_to_specimen", "t_stage"}),
        ("m1_at_diagnosis", {"m_stage", "stage"}),
        ("node_positive", {"n_stage", "stage"}),
        ("stage_iv", {"stage", "m_stage"}),
    ],
)
def test_what_reveals_an_outcome_is_denied(name: str, revealing: set[str]) -> None:
    assert revealing <= set(OUTCOMES[name].denied(DICTIONARY.names))
    assert "age" not in OUTCOMES[name].denied(DICTIONARY.names)


@pytest.mark.parametrize("name", ["specimen_metastatic", "distant_metastasis"])
def test_outcomes_without_times_point_to_the_time_ladder(name: str) -> None:
    pointing = [text for text in OUTCOMES[name].caveats if "melafuse ladder time" in text]
    assert len(pointing) == 1
    assert pointing[0].count(". ") == 0  # one sentence
