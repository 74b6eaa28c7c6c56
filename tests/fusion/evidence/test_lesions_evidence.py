"""Evidence of lesions: metrics count lesions, and the bootstrap draws patients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from collect_example import BASELINE, gather, make_cohort, make_predictions, make_run

from featurestore.cohort.tables import Cohort
from featurestore.units import NOUNS
from fusion.evaluation.predictions import read_predictions
from fusion.evidence import BinaryEvidence, ReportInputs, collect
from fusion.evidence.findings import Bootstrapped, find_problems
from fusion.report.json import binary_record
from fusion.report.methods import methods, study_rows
from fusion.report.tripod import tripod


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    """Two lesions of each patient, alike in everything but their key."""
    twins = [table.assign(patient_id=table["patient_id"] + ending) for ending in ("a", "b")]
    return pd.concat(twins, ignore_index=True)


@pytest.fixture(scope="module")
def patients() -> Cohort:
    cohort = make_cohort(60)
    lone = cohort.images.assign(duplicate_cluster=cohort.images["image_id"])
    return dataclasses.replace(cohort, images=lone)


@pytest.fixture(scope="module")
def lesions(patients: Cohort) -> Cohort:
    images = patients.images.assign(patient_id=patients.images["patient_id"] + "a")
    return dataclasses.replace(
        patients, images=images, patients=doubled(patients.patients), unit="lesion"
    )


@pytest.fixture(scope="module")
def of_lesions(patients: Cohort, lesions: Cohort) -> BinaryEvidence:
    run = make_run(lesions, observed="lesion", n_persons=60, n_clusters=60)
    predictions = doubled(make_predictions(patients, repeats=1))
    found = collect(ReportInputs(run, lesions, BASELINE, 200, 0), predictions)
    assert isinstance(found, BinaryEvidence)
    return found


def test_twice_as_many_lesions_are_no_more_evidence(
    patients: Cohort, of_lesions: BinaryEvidence
) -> None:
    """Each patient's lesions are alike, so draws of patients give the same AUROC as without."""
    alone = gather(patients, make_predictions(patients, repeats=1), draws=200)
    for one, other in zip(of_lesions.arms, alone.arms, strict=True):
        assert (one.n, one.events) == (2 * other.n, 2 * other.events)
        mine, theirs = one.metrics["auroc"], other.metrics["auroc"]
        np.testing.assert_allclose(
            [mine.value, mine.low, mine.high], [theirs.value, theirs.low, theirs.high]
        )


def test_reports_say_lesions_of_how_many_patients(of_lesions: BinaryEvidence) -> None:
    assert of_lesions.noun == NOUNS["lesion"]
    header = dict(study_rows(of_lesions))
    assert header["Lesions"].startswith("120 lesions of 60 patients, ")
    said = " ".join(methods(of_lesions))
    assert "lesions of one patient" in said
    assert "every number counts lesions" in said
    assert "60 clusters: lesions that are of one patient" in said
    assert "A lesion's score" in said
    run = binary_record(of_lesions)["run"]
    assert (run["n_lesions"], run["n_patients"], run["n_clusters"]) == (120, 60, 60)
    answers = " ".join(row[-1] for row in tripod(of_lesions).rows)
    assert "120 lesions of 60 patients" in answers
    assert "Every arm: 120 lesions" in answers


def test_lesions_of_unknown_patients_are_a_warning(
    lesions: Cohort, of_lesions: BinaryEvidence
) -> None:
    assert not any("patient is not known" in f.text for f in of_lesions.findings)
    keys = lesions.patients["patient_id"]
    alone = lesions.patients["person_id"].mask(keys.str.endswith("b"), keys)
    some = dataclasses.replace(lesions, patients=lesions.patients.assign(person_id=alone))
    keyed, arms = {k: k for k in keys}, of_lesions.arms
    found = find_problems(of_lesions.run, some, keyed, arms, (), Bootstrapped(200, 0))
    (said,) = (f for f in found if "patient is not known" in f.text)
    assert said.level == "warning"
    assert said.text.startswith("Of 60 of 120 lesions the patient is not known.")


def test_a_report_of_patients_says_nothing_of_lesions(patients: Cohort) -> None:
    alone = gather(patients, make_predictions(patients, repeats=1), draws=50)
    assert isinstance(alone, BinaryEvidence)
    assert (
        not {"observed", "n_lesions", "n_persons", "n_clusters"}
        & binary_record(alone)["run"].keys()
    )
    assert "lesion" not in " ".join(methods(alone))


def test_files_name_lesion_and_patient_and_are_read_back(patients: Cohort, lesions: Cohort) -> None:
    kept = make_predictions(patients, repeats=1)
    assert patients.for_people(kept) is kept
    kept = doubled(kept)
    shown = lesions.for_people(kept)
    assert (shown["lesion_id"].str[:-1] == shown["patient_id"]).all()
    again = read_predictions(shown, "binary")
    wanted = kept.sort_values(["run", "arm", "repeat", "fold", "patient_id"], ignore_index=True)
    pd.testing.assert_frame_equal(again, wanted)
