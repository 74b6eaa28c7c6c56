"""Identity over folds: each planted crossing is caught by its own check."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from audit_example import clean_cohort, find_check, make_subject, run_one, shuffled, with_column

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from featurestore.tables.dictionary import Column
from fusion.audit import Acceptance, AuditSubject
from fusion.audit.folds import crossing
from fusion.audit.row_identity import identical_rows
from fusion.audit.run import run_checks


@pytest.fixture
def subject() -> AuditSubject:
    return make_subject(clean_cohort(patients=120))


def apart(subject: AuditSubject, n: int = 2) -> list[str]:
    """Patients tested in different folds of the first repeat, the first by id of each."""
    folds = subject.folds.table
    tests = folds[(folds["repeat"] == 0) & (folds["role"] == "test")]
    return tests.groupby("fold")["patient_id"].min().tolist()[:n]


def with_images(subject: AuditSubject, images: pd.DataFrame) -> AuditSubject:
    return dataclasses.replace(subject, cohort=dataclasses.replace(subject.cohort, images=images))


def with_patients(subject: AuditSubject, patients: pd.DataFrame) -> AuditSubject:
    cohort = dataclasses.replace(subject.cohort, patients=patients)
    return dataclasses.replace(subject, cohort=cohort)


def test_patient_in_both_parts(subject: AuditSubject) -> None:
    patient = min(subject.folds.patients)
    extra = pd.DataFrame({"repeat": [1], "fold": [2], "patient_id": [patient], "role": ["train"]})
    folds = subject.folds.table
    mine = (folds["patient_id"] == patient) & (folds["repeat"] == 1) & (folds["fold"] == 2)
    extra["role"] = "test" if folds.loc[mine, "role"].item() == "train" else "train"
    result = run_one(
        "patient_across_folds", dataclasses.replace(subject, folds=Folds(pd.concat([folds, extra])))
    )
    assert result.status == "fired"
    assert result.severity == "invalidates"
    assert result.hits[0].subjects == (patient,)
    assert "repeat 1, fold 2" in result.hits[0].text


def test_one_patient_under_two_spellings(subject: AuditSubject) -> None:
    first, second = apart(subject)
    spelled = first.lower().replace("_", "-") + " "
    rename = {second: spelled}
    cohort = dataclasses.replace(
        subject.cohort,
        patients=subject.cohort.patients.replace({"patient_id": rename}),
        images=subject.cohort.images.replace({"patient_id": rename}),
    )
    folds = Folds(subject.folds.table.replace({"patient_id": rename}))
    result = run_one(
        "patient_across_folds", dataclasses.replace(subject, cohort=cohort, folds=folds)
    )
    assert {first, spelled} == set(result.hits[0].subjects)


def test_lesions_of_one_patient_on_both_sides(subject: AuditSubject) -> None:
    first, second = apart(subject)
    patients = subject.cohort.patients.copy()
    patients.loc[patients["patient_id"] == second, "person_id"] = first
    cohort = dataclasses.replace(subject.cohort, patients=patients, unit="lesion")
    result = run_one("patient_across_folds", dataclasses.replace(subject, cohort=cohort))
    assert {first, second} == set(result.hits[0].subjects)
    assert "belongs to lesions" in result.hits[0].text
    assert (
        "test lesions"
        in run_one("copied_images_across_folds", subject_of(subject, cohort)).check.looks_at
    )


def subject_of(subject: AuditSubject, cohort: Cohort) -> AuditSubject:
    return dataclasses.replace(subject, cohort=cohort)


def test_samples_of_one_tcga_patient(subject: AuditSubject) -> None:
    first, second = apart(subject)
    rename = {first: "TCGA-XX-A001-01", second: "TCGA-XX-A001-06"}
    cohort = dataclasses.replace(
        subject.cohort,
        patients=subject.cohort.patients.replace({"patient_id": rename}),
        images=subject.cohort.images.replace({"patient_id": rename}),
    )
    folds = Folds(subject.folds.table.replace({"patient_id": rename}))
    result = run_one(
        "patient_across_folds", dataclasses.replace(subject, cohort=cohort, folds=folds)
    )
    assert "TCGA-XX-A001" in result.hits[0].text


def test_lesion_of_two_patients(subject: AuditSubject) -> None:
    first, second = apart(subject)
    images = subject.cohort.images
    lesion = images.loc[images["patient_id"] == first, "lesion_id"].iloc[0]
    images = images.assign(
        lesion_id=images["lesion_id"].mask(images["patient_id"] == second, lesion)
    )
    result = run_one("lesion_across_folds", with_images(subject, images))
    assert result.hits[0].subjects == tuple(sorted((first, second)))
    assert lesion in result.hits[0].text


def test_lesions_that_nobody_names_are_not_applicable(subject: AuditSubject) -> None:
    result = run_one(
        "lesion_across_folds", with_images(subject, subject.cohort.images.assign(lesion_id=""))
    )
    assert (result.status, result.note) == ("not_applicable", "no image has a lesion id")


@pytest.mark.parametrize(
    ("column", "words"), [("sha256", "same file"), ("duplicate_cluster", "same picture")]
)
def test_copies(subject: AuditSubject, column: str, words: str) -> None:
    first, second = apart(subject)
    images = subject.cohort.images.set_index("patient_id")
    one, other = images.loc[first].iloc[0], images.loc[second].iloc[0]
    table = subject.cohort.images
    table = table.assign(
        **{column: table[column].mask(table["image_id"] == other["image_id"], one[column])}
    )
    result = run_one("copied_images_across_folds", with_images(subject, table))
    assert len(result.hits) == 1
    assert words in result.hits[0].text
    assert one["image_id"] in result.hits[0].text
    assert result.hits[0].subjects == tuple(sorted((first, second)))


def test_copies_that_share_a_fold_are_clear() -> None:
    cohort = clean_cohort(patients=120)
    images = cohort.images.copy()
    images.loc[2, ["sha256", "duplicate_cluster"]] = images.loc[
        0, ["sha256", "duplicate_cluster"]
    ].to_numpy()
    subject = make_subject(dataclasses.replace(cohort, images=images))
    assert run_one("copied_images_across_folds", subject).status == "clear"


def test_empty_files_are_no_copies(subject: AuditSubject) -> None:
    images = subject.cohort.images.assign(
        width=0, height=0, sha256="same", duplicate_cluster="same"
    )
    assert run_one("copied_images_across_folds", with_images(subject, images)).status == "clear"


def test_many_crossings_are_counted_in_a_last_hit(subject: AuditSubject) -> None:
    images = subject.cohort.images
    pairs = [f"L{k // 4}" for k in range(len(images))]  # two neighbouring patients a lesion
    result = run_one("lesion_across_folds", with_images(subject, images.assign(lesion_id=pairs)))
    assert len(result.hits) == 6
    assert result.hits[-1].value is not None
    assert result.hits[-1].text.startswith(f"{result.hits[-1].value:.0f} more")


def test_lent_row(subject: AuditSubject) -> None:
    first, second = apart(subject)
    donors = subject.cohort.patients["patient_id"].replace({first: "D1", second: "D1"})
    patients = subject.cohort.patients.assign(donor_id=donors)
    result = run_one("clinical_row_reused", with_patients(subject, patients))
    assert [hit.subjects for hit in result.hits] == [tuple(sorted((first, second)))]
    assert "D1" in result.hits[0].text


def profiled(patients: int = 120) -> AuditSubject:
    """With two finely measured columns, so that a row is as good as a name."""
    cohort = clean_cohort(patients=patients)
    rng = np.random.default_rng(5)
    for name in ("tmb", "ldh"):
        values = np.exp(rng.normal(size=patients)).round(3)
        cohort = with_column(cohort, Column(name, "numeric", "mutation"), values)
    return make_subject(cohort)


@pytest.mark.parametrize("times", [2, 30])
def test_row_with_the_same_values(times: int) -> None:
    subject = profiled()
    patients = subject.cohort.patients
    chosen = patients.sort_values("patient_id").index[::4][:times]
    columns = subject.cohort.dictionary.names
    copied = patients.copy()
    for name in columns:
        copied.loc[chosen, name] = patients.loc[chosen[0], name]
    rows = identical_rows(dataclasses.replace(subject.cohort, patients=copied))
    assert [set(row.patients) for row in rows] == [set(patients.loc[chosen, "patient_id"])]
    result = run_one("clinical_row_reused", with_patients(subject, copied))
    if times > 4:  # more patients than folds stand on both sides
        assert result.status == "fired"


def test_rows_of_few_coarse_values_agree_by_chance() -> None:
    cohort = clean_cohort(patients=400)
    patients = cohort.patients.assign(age=60.0, breslow=1.0)  # sex and stage are left
    assert identical_rows(dataclasses.replace(cohort, patients=patients)) == []


@pytest.mark.parametrize("seed", range(5))
def test_chance_agreement_is_rare_in_dependent_columns(seed: int) -> None:
    """Coarse columns that follow from one another, as stage does from T, N and M."""
    rng = np.random.default_rng(seed)
    cohort = clean_cohort(patients=1500, seed=seed)
    stage = rng.integers(0, 6, size=1500)
    for k in range(6):
        column = Column(f"t{k}", "numeric", "staging")
        cohort = with_column(cohort, column, stage + (rng.random(1500) < 0.1))
    assert identical_rows(cohort) == []


def test_identity_cannot_be_accepted(subject: AuditSubject) -> None:
    check = find_check("clinical_row_reused")
    with pytest.raises(ConfigError, match="cannot be accepted"):
        run_checks([check], subject, [Acceptance(check.name, "P1", "we like it")])


def test_crossing_names_the_first_place_and_counts_them() -> None:
    folds = pd.DataFrame(
        [(0, f, p, "test" if f == k else "train") for f in (0, 1) for k, p in enumerate("ab")],
        columns=["repeat", "fold", "patient_id", "role"],
    )
    keys = pd.DataFrame({"key": ["x", "x", "y"], "patient_id": ["b", "a", "a"]})
    (found,) = crossing(keys, Folds(folds))
    assert (found.key, found.patients, found.repeat, found.fold, found.places) == (
        "x",
        ("a", "b"),
        0,
        0,
        2,
    )


def test_order_of_rows_changes_nothing(subject: AuditSubject) -> None:
    first, second = apart(subject)
    images = subject.cohort.images
    images = images.assign(
        lesion_id=images["lesion_id"].mask(images["patient_id"].isin([first, second]), "L")
    )
    leaking = with_images(subject, images)
    assert run_one("lesion_across_folds", shuffled(leaking)) == run_one(
        "lesion_across_folds", leaking
    )
