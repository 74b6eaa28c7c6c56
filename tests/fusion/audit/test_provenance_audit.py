"""Sites, picture taking and the order of rows that say who has the outcome."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from audit_example import clean_cohort, make_subject, run_one

from featurestore.cohort.tables import Cohort
from fusion.audit.acquisition import acquisition_facts, out_of_fold


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return clean_cohort(patients=240)


def labels(cohort: Cohort) -> np.ndarray:
    return cohort.patients["outcome"].to_numpy(float)


def by_patient(cohort: Cohort) -> np.ndarray:
    """Outcome of the patient of each image."""
    outcome = cohort.patients.set_index("patient_id")["outcome"]
    return cohort.images["patient_id"].map(outcome).to_numpy(float)


def with_images(cohort: Cohort, **columns: object) -> Cohort:
    return dataclasses.replace(cohort, images=cohort.images.assign(**columns))


def test_site_that_follows_the_outcome(cohort: Cohort) -> None:
    rng = np.random.default_rng(0)
    event_site = labels(cohort) != (rng.random(240) < 0.15)
    sites = np.where(event_site, "S1", np.where(rng.random(240) < 0.5, "S2", "S3"))
    planted = dataclasses.replace(cohort, patients=cohort.patients.assign(site=sites))
    result = run_one("site_association", make_subject(planted))
    assert [hit.subjects for hit in result.hits] == [("site",)]
    assert "S1" in result.hits[0].text
    assert result.severity == "warning"


@pytest.mark.parametrize("column", ["source", "attribution"])
def test_images_of_two_archives(cohort: Cohort, column: str) -> None:
    archive = np.where(by_patient(cohort) == 1, "one clinic", "another")
    result = run_one("site_association", make_subject(with_images(cohort, **{column: archive})))
    assert [hit.subjects for hit in result.hits] == [(column,)]


def test_one_site_is_not_applicable(cohort: Cohort) -> None:
    alone = dataclasses.replace(cohort, patients=cohort.patients.assign(site="unknown"))
    result = run_one("site_association", make_subject(alone))
    assert result.note == "all patients come from one site and source"


def test_a_site_for_each_patient_says_nothing(cohort: Cohort) -> None:
    many = cohort.patients.assign(site=cohort.patients["patient_id"])
    planted = dataclasses.replace(cohort, patients=many)
    assert run_one("site_association", make_subject(planted)).status == "clear"


def planted_acquisition(cohort: Cohort, fact: str) -> Cohort:
    rng = np.random.default_rng(0)
    event = by_patient(cohort) != (rng.random(len(cohort.images)) < 0.1)
    if fact == "width":
        width = np.where(event, 1024, 600)
        return with_images(cohort, width=width, height=width * 3 // 4, file_bytes=100_000)
    if fact == "aspect":
        return with_images(cohort, height=np.where(event, 700, 450), width=600)
    if fact == "bytes":
        return with_images(cohort, file_bytes=np.where(event, 300_000, 80_000))
    if fact == "exif":
        return with_images(cohort, has_exif=event)
    if fact == "turned":
        return with_images(cohort, exif_orientation=np.where(event, 6, 1))
    names = cohort.images["image_id"] + np.where(event, ".png", ".jpg")
    return with_images(cohort, path=names)


@pytest.mark.parametrize("fact", ["width", "aspect", "bytes", "exif", "turned", "suffix"])
def test_acquisition_shortcut(cohort: Cohort, fact: str) -> None:
    result = run_one("acquisition_shortcut", make_subject(planted_acquisition(cohort, fact)))
    (hit,) = result.hits
    assert hit.subjects == ("images",)
    assert hit.value is not None
    assert hit.value > 0.85
    assert "single facts" in hit.text


def test_facts_that_a_cohort_does_not_have_are_left_out(cohort: Cohort) -> None:
    images = cohort.images.drop(columns=["file_bytes", "exif_orientation", "has_exif"])
    facts = acquisition_facts(images)
    assert "log file size" not in facts.columns
    assert len(facts) == 240
    assert facts.notna().all().all()


def test_equal_files_are_not_applicable(cohort: Cohort) -> None:
    equal = with_images(cohort, width=600, height=450, file_bytes=9, has_exif=False)
    result = run_one("acquisition_shortcut", make_subject(equal))
    assert result.note == "all images have the same size, form and kind of file"
    none = dataclasses.replace(cohort, images=cohort.images.iloc[:0])
    result = run_one("acquisition_shortcut", make_subject(none))
    assert result.note == "the cohort has no pictures"


def test_unreadable_images_have_no_facts(cohort: Cohort) -> None:
    broken = cohort.images.assign(width=0, height=0)
    assert acquisition_facts(broken).empty


def test_forest_never_sees_the_patients_it_scores() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), np.arange(80) % 2.0
    test = np.arange(80) < 20
    first = out_of_fold(x, y, [test], 0)
    flipped = out_of_fold(x, np.where(test, 1 - y, y), [test], 0)
    np.testing.assert_array_equal(first[test], flipped[test])


def test_file_sorted_by_outcome(cohort: Cohort) -> None:
    ordered = cohort.patients.sort_values(["outcome", "patient_id"])["patient_id"]
    places = {patient: place for place, patient in enumerate(ordered)}
    planted = dataclasses.replace(cohort, file_order=places)
    result = run_one("order_leak", make_subject(planted))
    assert [hit.subjects for hit in result.hits] == [("file order",)]
    assert result.hits[0].value == 1.0


def renamed(cohort: Cohort, numbers: np.ndarray) -> Cohort:
    ids = dict(zip(cohort.patients["patient_id"], (f"P{int(n):05d}" for n in numbers), strict=True))
    return dataclasses.replace(
        cohort,
        patients=cohort.patients.replace({"patient_id": ids}),
        images=cohort.images.replace({"patient_id": ids}),
        file_order={},
    )


def test_number_in_the_id(cohort: Cohort) -> None:
    numbers = np.lexsort([np.arange(240), labels(cohort)]).argsort()
    result = run_one("order_leak", make_subject(renamed(cohort, numbers)))
    assert ("patient_id",) in [hit.subjects for hit in result.hits]


def test_cases_and_controls_in_turn(cohort: Cohort) -> None:
    numbers = 2 * np.arange(240) + labels(cohort)
    result = run_one("order_leak", make_subject(renamed(cohort, numbers)))
    assert [hit.subjects for hit in result.hits] == [("patient_id parity",)]


def test_number_of_the_image(cohort: Cohort) -> None:
    event = by_patient(cohort)
    numbers = 10_000 * event + np.arange(len(event))
    images = [f"ISIC_{int(n):07d}" for n in numbers]
    result = run_one("order_leak", make_subject(with_images(cohort, image_id=images)))
    assert [hit.subjects for hit in result.hits] == [("image_id",)]


def test_no_order_at_all_is_not_applicable(cohort: Cohort) -> None:
    letters = {p: f"TCGA-AA-{k:04X}" for k, p in enumerate(cohort.file_order)}
    nameless = dataclasses.replace(
        cohort,
        patients=cohort.patients.replace({"patient_id": letters}),
        images=cohort.images.iloc[:0],
        file_order={},
    )
    result = run_one("order_leak", make_subject(nameless))
    assert result.note == "neither the order of rows nor numbers in ids are known"
