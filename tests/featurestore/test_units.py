"""What observations are called, and how tables are named that people read."""

from __future__ import annotations

import pandas as pd
import pytest

from featurestore.units import NOUNS, Counted, as_kept, count_observations, for_people, worded

PATIENTS = pd.DataFrame({"patient_id": ["L1", "L2", "L3"], "person_id": ["P1", "P1", "L3"]})


@pytest.mark.parametrize(
    ("counted", "text"),
    [
        (Counted("patient", 1, 1), "1 patient"),
        (Counted("patient", 1641, 1641), "1,641 patients"),
        (Counted("lesion", 1641, 1373), "1,641 lesions of 1,373 patients"),
        (Counted("lesion", 1, 1), "1 lesion of 1 patient"),
        (Counted("lesion", 7470, 0, 7470), "7,470 lesions of unknown patients"),
        (
            Counted("lesion", 12, 5, 2),
            "12 lesions (10 lesions of 5 patients, 2 of unknown patients)",
        ),
    ],
)
def test_how_many_of_how_many(counted: Counted, text: str) -> None:
    assert counted.text == text


def test_people_and_those_whom_nobody_knows_are_counted() -> None:
    assert count_observations(PATIENTS, "lesion") == Counted("lesion", 3, 1, 1)
    assert count_observations(PATIENTS, "patient") == Counted("patient", 3, 3)


def test_tables_name_lesion_and_patient_and_are_read_back() -> None:
    kept = pd.DataFrame(
        {"image_id": ["a", "b"], "patient_id": ["L2", "L3"], "lesion_id": ["2", ""]}
    )
    shown = for_people(kept, PATIENTS, "lesion")
    assert list(shown.columns) == ["image_id", "lesion_id", "patient_id", "source_lesion_id"]
    assert shown["lesion_id"].tolist() == ["L2", "L3"]
    assert shown["patient_id"].tolist() == ["P1", "L3"]
    pd.testing.assert_frame_equal(as_kept(shown)[list(kept.columns)], kept)


def test_tables_of_patients_and_without_ids_stay_as_they_are() -> None:
    assert for_people(PATIENTS, PATIENTS, "patient") is PATIENTS
    rows = pd.DataFrame({"entity": ["image"], "id": ["a"]})
    assert for_people(rows, PATIENTS, "lesion") is rows


def test_fixed_words_are_called_what_they_are() -> None:
    text = "one {patient} of all {patients}, each of one patient"
    assert worded(text, NOUNS["lesion"]) == "one lesion of all lesions, each of one patient"
    assert worded(text, NOUNS["patient"]) == "one patient of all patients, each of one patient"
