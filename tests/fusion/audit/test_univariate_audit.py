"""One column, or its absence, that ranks patients by outcome."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from audit_example import clean_cohort, make_subject, run_one, with_column
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from featurestore.cohort.tables import Cohort
from featurestore.tables.dictionary import Column
from fusion.audit.association import MIN_PER_CLASS, associate, level_rates
from fusion.audit.subject_views import persons
from fusion.metrics.delong import delong


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return clean_cohort(patients=400)


def ranked(cohort: Cohort, auroc: float, seed: int = 0) -> np.ndarray:
    """Scores of which a random event exceeds a random non-event with this probability."""
    y = cohort.patients["outcome"].to_numpy(float)
    shift = np.sqrt(2) * norm.ppf(auroc)
    return np.random.default_rng(seed).normal(size=len(y)) + shift * y


COLUMN = Column("marker", "numeric", "staging", measured="diagnosis")


@pytest.mark.parametrize("sign", [1, -1])
def test_strong_column_in_either_direction(cohort: Cohort, sign: int) -> None:
    values = ranked(cohort, 0.90)
    result = run_one("univariate_auc", make_subject(with_column(cohort, COLUMN, sign * values)))
    (hit,) = result.hits
    expected = roc_auc_score(cohort.patients["outcome"], values)
    assert hit.subjects == ("marker",)
    assert hit.value == pytest.approx(expected)
    assert f"{expected:.3f}" in hit.text
    assert result.severity == "warning"


def test_nearly_perfect_column_invalidates(cohort: Cohort) -> None:
    subject = make_subject(with_column(cohort, COLUMN, ranked(cohort, 0.995)))
    assert run_one("univariate_auc", subject).severity == "invalidates"


def test_honest_strong_column_is_clear(cohort: Cohort) -> None:
    subject = make_subject(with_column(cohort, COLUMN, ranked(cohort, 0.78)))
    assert run_one("univariate_auc", subject).status == "clear"


def test_strong_nominal_column_is_scored_out_of_fold(cohort: Cohort) -> None:
    levels = np.array(["a", "b", "c", "d"])[np.digitize(ranked(cohort, 0.95), [-1, 1, 2.5])]
    column = Column("ward", "nominal", "staging", measured="diagnosis")
    subject = make_subject(with_column(cohort, column, levels))
    (hit,) = run_one("univariate_auc", subject).hits
    assert hit.subjects == ("ward",)
    every = Column("name", "nominal", "staging", measured="diagnosis")
    ids = make_subject(with_column(cohort, every, cohort.patients["patient_id"]))
    assert run_one("univariate_auc", ids).status == "clear"  # an id knows nothing of other folds


def test_profile_of_noise_in_a_small_cohort_is_clear() -> None:
    """200 genes on 60 patients: some AUROC exceeds 0.75 by chance, none surely so."""
    cohort = clean_cohort(patients=60)
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(rng.normal(size=(60, 200)), columns=[f"expr_G{k}" for k in range(200)])
    genes.loc[::5] = np.nan
    cohort = dataclasses.replace(
        cohort,
        patients=pd.concat([cohort.patients, genes], axis=1),
        dictionary=type(cohort.dictionary)(
            [*cohort.dictionary, *(Column(g, "expression", "staging") for g in genes)]
        ),
    )
    assert run_one("univariate_auc", make_subject(cohort)).status == "clear"


def test_missing_values_that_follow_the_outcome(cohort: Cohort) -> None:
    y = cohort.patients["outcome"].to_numpy(float)
    rng = np.random.default_rng(1)
    values = np.where(rng.random(400) < 0.05 + 0.9 * y, rng.normal(size=400), np.nan)
    cohort = with_column(cohort, COLUMN, values)
    cohort = with_column(cohort, dataclasses.replace(COLUMN, name="twin"), values**2)
    result = run_one("missingness_auc", make_subject(cohort))
    (hit,) = result.hits
    assert hit.subjects == ("marker", "twin")
    assert "marker, twin" in hit.text
    assert hit.value == pytest.approx(roc_auc_score(y, np.isfinite(values)))


def _by_role(cohort: Cohort, decided: bool) -> Cohort:
    """Two images a patient, one close-up; whether the other is dermoscopic hangs on the outcome."""
    events = set(cohort.patients.loc[cohort.patients["outcome"] == 1, "patient_id"])
    role = np.where(cohort.images.index % 2 == 0, "close-up", "dermoscopic")
    kept = (role == "close-up") | (cohort.images["patient_id"].isin(events) | (not decided))
    return dataclasses.replace(cohort, images=cohort.images.assign(image_role=role)[kept])


def test_a_role_of_some_outcomes_only(cohort: Cohort) -> None:
    """Dermoscopy of suspicious lesions only; that there are roles is nothing."""
    result = run_one("missingness_auc", make_subject(_by_role(cohort, decided=True)))
    (hit,) = (hit for hit in result.hits if hit.subjects == ("dermoscopic images",))
    assert "Whether dermoscopic images is known says who has the outcome" in hit.text
    assert hit.value == 1.0
    assert result.severity == "invalidates"
    fair = run_one("missingness_auc", make_subject(_by_role(cohort, decided=False)))
    assert not [hit for hit in fair.hits if "images" in hit.text]


def test_images_of_some_outcomes_only(cohort: Cohort) -> None:
    patients = cohort.patients
    known = patients.loc[patients["outcome"] == 1, "patient_id"]
    images = cohort.images[cohort.images["patient_id"].isin(known)]
    subject = make_subject(dataclasses.replace(cohort, images=images))
    (hit,) = run_one("missingness_auc", subject).hits
    assert hit.subjects == ("images",)
    assert "100% of those with the outcome, 0% of those without" in hit.text


def test_complete_cohort_is_not_applicable(cohort: Cohort) -> None:
    full = dataclasses.replace(cohort, patients=cohort.patients.fillna({"breslow": 1.0}))
    result = run_one("missingness_auc", make_subject(full))
    assert (result.status, result.note) == (
        "not_applicable",
        "no value that models see is missing",
    )


def test_no_columns_is_not_applicable(cohort: Cohort) -> None:
    names = cohort.dictionary.names
    bare = dataclasses.replace(cohort, dictionary=cohort.dictionary.flagged(names))
    subject = dataclasses.replace(make_subject(cohort), cohort=bare)
    for name in ("univariate_auc", "outcome_copy", "deny_listed", "measured_after"):
        assert run_one(name, subject).note == "no arm sees a patient column"


def test_bound_agrees_with_delong_and_grows_with_what_was_looked_at(cohort: Cohort) -> None:
    y = cohort.patients["outcome"].to_numpy(float)
    score = ranked(cohort, 0.7)
    (one,) = associate(y, score[None, :], 1)
    (many,) = associate(y, score[None, :], 100)
    assert one is not None
    assert many is not None
    # the one-sided 95 % bound is the lower end of the two-sided 90 % interval
    assert one.low == pytest.approx(delong(y, score).interval(level=0.90)[0], abs=0.005)
    assert many.low < one.low


@pytest.mark.slow
def test_bound_keeps_its_level() -> None:
    """True AUROC 0.75 and 30 events of 90: the corrected bound exceeds it in 5 % or less."""
    rng = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], [60, 30])
    above = 0
    for _ in range(1000):
        score = rng.normal(size=90) + np.sqrt(2) * norm.ppf(0.75) * y
        (found,) = associate(y, score[None, :], 1)
        assert found is not None
        above += found.low > 0.75
    assert 0.02 < above / 1000 < 0.07


def test_perfect_separation_has_an_honest_bound() -> None:
    y = np.repeat([0.0, 1.0], [50, MIN_PER_CLASS])
    (found,) = associate(y, y[None, :], 1)
    assert found is not None
    assert found.low == pytest.approx(0.05 ** (1 / MIN_PER_CLASS))
    assert associate(y[1:-1], y[None, 1:-1], 1) == [None]  # one event fewer is too few


def test_levels_are_counted_in_other_folds_only() -> None:
    y = np.array([1.0, 0, 1, 0, 1, 0])
    levels = pd.Series(["a", "a", "b", "b", "a", "c"])
    tests = [np.array([1, 1, 1, 0, 0, 0], dtype=bool), np.array([0, 0, 0, 1, 1, 1], dtype=bool)]
    score = level_rates(levels, y, tests)
    first, second = 1 / 3, 2 / 3  # rate of the outcome in the other half
    assert score == pytest.approx(
        [
            (1 + 5 * first) / 6,
            (1 + 5 * first) / 6,
            (0 + 5 * first) / 6,
            (1 + 5 * second) / 6,
            (1 + 5 * second) / 7,
            second,
        ]
    )


def test_one_patient_counts_for_a_group(cohort: Cohort) -> None:
    subject = make_subject(cohort)
    ids = sorted(cohort.patients["patient_id"])
    tied = dataclasses.replace(subject, groups=dict.fromkeys(ids[:10], ids[0]))
    assert persons(tied)["patient_id"].tolist() == [ids[0], *ids[10:]]


def test_a_level_without_a_place_stops_nothing() -> None:
    """T0: no primary tumour was found, which is no depth."""
    cohort = clean_cohort(200)
    depth = np.random.default_rng(0).choice(["T0", "T1", "T2", "T3"], size=200)
    column = Column("t_stage", "ordinal", "staging", levels=("T0", "T1", "T2", "T3"))
    subject = make_subject(with_column(cohort, column, depth))
    for name in ("univariate_auc", "joint_auc", "level_rates"):
        assert run_one(name, subject).status == "clear"
