"""Faults of times: each is planted and found, and clean cohorts raise nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from audit_example import clean_cohort, make_subject, run_one, shuffled, with_column
from times_audit_example import YEAR, clean_times, with_predictions, with_times

from featurestore.outcomes import ENTRY, TIME
from featurestore.tables.dictionary import Column
from featurestore.tables.exclusions import exclusions_table
from fusion.audit import CHECKS, Acceptance, AuditSubject, predictor_dates, run_audit
from fusion.audit.run import run_checks

OF_DAYS = {check.name for check in predictor_dates.CHECKS}
"""Checks that need predictors whose day is recorded."""
OF_TIMES = {check.name for check in CHECKS if check.kind == "time_to_event"}


def clean_subject(seed: int) -> AuditSubject:
    cohort = clean_times(seed=seed)
    rng = np.random.default_rng(seed)
    early = -0.2 * np.log(cohort.patients[TIME].to_numpy(float))
    scores = {
        "fusion_head": early + rng.normal(size=cohort.n_patients),
        "permuted_labels": rng.normal(size=cohort.n_patients),
    }
    return with_predictions(make_subject(cohort), scores)


@pytest.mark.parametrize("seed", range(20))
def test_clean_times_raise_no_check_of_times(seed: int) -> None:
    checks = [check for check in CHECKS if check.kind == "time_to_event"]
    results = run_checks(checks, clean_subject(seed)).results
    expected = dict.fromkeys(OF_TIMES, "clear") | dict.fromkeys(OF_DAYS, "not_applicable")
    assert {r.check.name: r.status for r in results} == expected


@pytest.mark.parametrize("seed", range(3))
def test_clean_times_raise_no_other_check(seed: int) -> None:
    """But those that ask for records of fits, of which there are none here."""
    fired = {result.check.name for result in run_audit(clean_subject(seed)).fired}
    assert fired <= {"transform_saw_test", "selection_on_test"}


def test_an_audit_of_outcomes_without_times_has_no_check_of_times() -> None:
    names = {r.check.name for r in run_audit(make_subject(clean_cohort(64))).results}
    assert not names & OF_TIMES


def test_checks_of_other_outcomes_say_why_they_do_not_look() -> None:
    cohort = clean_times(80)
    score = np.random.default_rng(0).normal(size=80)
    report = run_audit(with_predictions(make_subject(cohort), {"fusion_head": score}))
    skipped = {r.check.name: r.note for r in report.results if r.status == "not_applicable"}
    for name in ("too_good", "permuted_floor", "calibration_drift", "events_per_predictor"):
        assert "times have checks of their own" in skipped[name]


def test_what_is_accepted_of_another_kind_harms_no_audit() -> None:
    accept = [Acceptance("time_columns", "age", "because")]
    assert run_audit(make_subject(clean_cohort(64)), accept).results


def test_row_order_carries_no_meaning() -> None:
    subject = make_subject(clean_times(120, seed=1))
    assert run_audit(shuffled(subject)) == run_audit(subject)


def test_times_of_zero_and_below_and_before_entry() -> None:
    cohort = clean_times()
    days, entry = (cohort.patients[c].to_numpy(copy=True) for c in (TIME, ENTRY))
    days[[3, 4]], days[5], entry[6] = -2.0, 0.0, days[6]
    found = run_one("before_time_zero", with_times(cohort, **{TIME: days, ENTRY: entry}))
    assert found.status == "fired"
    assert [hit.value for hit in found.hits] == [2.0, 1.0, 1.0]
    assert cohort.patients["patient_id"][5] in found.hits[1].text


def test_many_left_out_for_a_time_zero_that_is_too_late() -> None:
    cohort = clean_times(100)
    rows = [
        ("patient", f"X{k}", "outcome", "observation begins at or after the end of the time")
        for k in range(6)
    ]
    cohort = dataclasses.replace(cohort, exclusions=exclusions_table(rows))
    found = run_one("before_time_zero", make_subject(cohort))
    assert "6 of 106 patients were left out" in found.hits[0].text
    few = dataclasses.replace(cohort, exclusions=exclusions_table(rows[:5]))
    assert run_one("before_time_zero", make_subject(few)).status == "clear"


@pytest.mark.parametrize("name", ["days_to_recheck", "os_months", "number_of_visits", "pfs_time"])
def test_a_column_that_sounds_like_a_time(name: str) -> None:
    cohort = clean_times()
    noise = np.random.default_rng(0).normal(size=cohort.n_patients)
    planted = with_column(cohort, Column(name, "numeric", "histopathology"), noise)
    found = run_one("time_columns", make_subject(planted))
    assert [hit.subjects for hit in found.hits] == [(name,)]
    assert found.severity == "warning"


def test_a_column_that_is_the_time_in_months_with_noise() -> None:
    cohort = clean_times()
    rng = np.random.default_rng(0)
    months = cohort.patients[TIME] / 30.44 * np.exp(0.1 * rng.normal(size=cohort.n_patients))
    planted = with_column(cohort, Column("index", "numeric", "histopathology"), months)
    found = run_one("time_columns", make_subject(planted))
    assert found.severity == "invalidates"
    assert found.hits[0].subjects == ("index",)


def test_a_column_that_holds_the_time_of_events_only() -> None:
    cohort = clean_times()
    happened = cohort.patients["outcome"] == 1
    days = cohort.patients[TIME].where(happened, 40 * YEAR)
    planted = with_column(cohort, Column("index", "numeric", "histopathology"), days)
    assert run_one("time_columns", make_subject(planted)).severity == "invalidates"


def test_who_is_lost_early_can_be_told() -> None:
    """The old are lost within a year or so, whatever their risk."""
    cohort = clean_times()
    patients, rng = cohort.patients, np.random.default_rng(0)
    old = patients["age"] > 60
    lost = np.where(old, rng.uniform(50, 2 * YEAR, len(patients)), 12 * YEAR)
    code = np.where(lost < patients[TIME], 0.0, patients["outcome"])
    days = np.minimum(lost, patients[TIME])
    found = run_one("informative_censoring", with_times(cohort, outcome=code, **{TIME: days}))
    assert found.status == "fired"
    assert "age" in found.hits[0].text
    assert found.hits[0].value is not None
    assert found.hits[0].value > 0.6


def test_a_site_that_stops_looking_early() -> None:
    cohort = clean_times()
    patients = cohort.patients
    short = patients["site"] == "S2"
    stop = np.where(short, 1.5 * YEAR, 99 * YEAR)
    code = np.where(stop < patients[TIME], 0.0, patients["outcome"])
    days = np.minimum(stop, patients[TIME])
    found = run_one("site_follow_up", with_times(cohort, outcome=code, **{TIME: days}))
    assert found.status == "fired"
    assert "S2 1.5 years" in found.hits[0].text


def test_a_concordance_that_nobody_has_published() -> None:
    cohort = clean_times()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=cohort.n_patients)
    early = -np.log(cohort.patients[TIME].to_numpy(float))
    scores = {"lightgbm": early + 0.6 * noise, "fusion_head": early, "permuted_labels": noise}
    found = run_one("too_concordant", with_predictions(make_subject(cohort), scores))
    assert {hit.subjects[0]: hit.severity for hit in found.hits} == {
        "fusion_head": "invalidates",
        "lightgbm": "warning",
    }


def test_a_planted_model_is_its_own_ceiling() -> None:
    cohort = clean_times()
    early = -np.log(cohort.patients[TIME].to_numpy(float))
    for oracle, status in ((0.7, "fired"), (1.0, "clear")):
        known = dataclasses.replace(cohort, facts={"oracle_c": oracle})
        subject = with_predictions(make_subject(known), {"fusion_head": early})
        assert run_one("too_concordant", subject).status == status


def test_exchanged_times_that_are_predicted() -> None:
    cohort = clean_times()
    early = -0.3 * np.log(cohort.patients[TIME].to_numpy(float))
    score = early + np.random.default_rng(0).normal(size=cohort.n_patients)
    found = run_one(
        "permuted_times", with_predictions(make_subject(cohort), {"permuted_labels": score})
    )
    assert found.status == "fired"
    assert not found.check.acceptable


def test_a_copy_of_the_event_is_found_among_times_too() -> None:
    """Checks of other kinds look at whether the event was seen; a competing one is none."""
    cohort = clean_times()
    seen = (cohort.patients["outcome"] == 1).astype(float)
    planted = with_column(cohort, Column("flag", "binary", "histopathology"), seen)
    assert run_one("outcome_copy", make_subject(planted)).status == "fired"
