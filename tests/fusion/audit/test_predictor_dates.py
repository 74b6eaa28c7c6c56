"""Predictors that came too late: each planted fault is found by its check alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from audit_example import make_subject, run_one, shuffled
from times_audit_example import DAY, clean_times, late_subject, late_times, with_predictions

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import ENTRY, TIME, TimesRule, ValueRule
from fusion.audit import CHECKS, AuditSubject, predictor_dates
from fusion.audit.run import run_checks

OF_TIMES = [check for check in CHECKS if check.kind == "time_to_event"]
OF_DAYS = {check.name for check in predictor_dates.CHECKS}


def fired(subject: AuditSubject) -> set[str]:
    """Checks of times, and of when predictors became known, that fire."""
    checks = [*OF_TIMES, *(c for c in CHECKS if c.name == "measured_after")]
    results = run_checks(checks, subject).results
    return {r.check.name for r in results if r.status == "fired"}


@pytest.mark.parametrize("seed", range(20))
def test_clean_late_specimens_raise_no_check_of_days(seed: int) -> None:
    checks = [c for c in CHECKS if c.name in {*OF_DAYS, "measured_after", "before_time_zero"}]
    results = run_checks(checks, late_subject(late_times(seed=seed))).results
    assert {r.status for r in results} == {"clear"}


@pytest.mark.parametrize("seed", range(2))
def test_clean_late_specimens_raise_no_check_of_times(seed: int) -> None:
    cohort = late_times(seed=seed)
    rng = np.random.default_rng(seed)
    scores = {name: rng.normal(size=cohort.n_patients) for name in ("cox", "permuted_labels")}
    subject = with_predictions(late_subject(cohort), scores)
    results = {r.check.name: r.status for r in run_checks(OF_TIMES, subject).results}
    assert results == dict.fromkeys(results, "clear")


def planted(cohort: Cohort, rows: np.ndarray, **columns: object) -> AuditSubject:
    patients = cohort.patients.copy()
    for name, value in columns.items():
        patients.loc[rows, name] = value
    return late_subject(dataclasses.replace(cohort, patients=patients))


def test_events_on_the_day_of_the_specimen_and_before_it() -> None:
    cohort = late_times()
    late = (cohort.patients["outcome"] == 1) & (cohort.patients[ENTRY] > 1)
    rows = np.flatnonzero(late)[:3]
    day = cohort.patients[ENTRY].to_numpy()[rows]
    subject = planted(cohort, rows, **{ENTRY: 0.0, TIME: day - [0, 0, 1]})
    assert fired(subject) == {"event_before_predictor"}
    found = run_one("event_before_predictor", subject)
    (hit,) = found.hits
    assert (found.severity, hit.value, hit.subjects) == ("invalidates", 3.0, (DAY.name,))
    assert "hif, mutations became known (days_to_specimen), 1 of them before it" in hit.text


def test_everyone_is_at_risk_before_the_specimen_was_taken() -> None:
    cohort = late_times()
    subject = planted(cohort, np.arange(cohort.n_patients), **{ENTRY: 0.0})
    assert fired(subject) == {"immortal_time"}
    found = run_one("immortal_time", subject)
    patients = cohort.patients
    waited = patients[DAY.name].sum() / patients[TIME].sum()
    assert found.severity == "invalidates"
    assert found.hits[0].value == pytest.approx(waited)
    assert f"{(patients[DAY.name] > 0).sum()} of 400 patients" in found.hits[0].text


def test_some_weeks_between_diagnosis_and_operation_are_a_note() -> None:
    cohort = late_times()
    days = {ENTRY: 0.0, DAY.name: 10.0}
    found = run_one("immortal_time", planted(cohort, np.arange(cohort.n_patients), **days))
    assert found.severity == "note"


def test_a_predictor_dated_after_the_patient_was_lost() -> None:
    cohort = late_times()
    rows = np.flatnonzero((cohort.patients["outcome"] != 1) & (cohort.patients[ENTRY] > 1))[:4]
    day = cohort.patients[ENTRY].to_numpy()[rows]
    subject = planted(cohort, rows, **{ENTRY: 0.0, TIME: day - 1})
    assert fired(subject) == {"predictor_after_end"}
    assert run_one("predictor_after_end", subject).hits[0].value == 4.0


def test_slides_of_the_specimen_do_not_predict_as_of_diagnosis() -> None:
    """Whether or not anybody wrote down the day; also where outcomes are there or not."""
    cohort = late_times(80)
    early = dataclasses.replace(cohort.outcome, as_of_time="diagnosis")
    undated = dataclasses.replace(
        cohort, outcome=early, known_on={}, dictionary=cohort.dictionary.flagged(["mutations"])
    )
    found = run_one("measured_after", late_subject(undated))
    assert [hit.subjects for hit in found.hits] == [("hif",)]
    assert found.severity == "invalidates"


def test_days_on_another_clock_are_counted_on_that_of_the_outcome() -> None:
    """With `origin` the specimen is time zero, in the unit of the columns."""
    rule = TimesRule(ValueRule("e"), "t", "t", origin=DAY.name, unit="months")
    cohort = late_times(40)
    moved = dataclasses.replace(cohort, outcome=dataclasses.replace(cohort.outcome, rule=rule))
    assert (moved.day_on_clock(DAY.name) == 0).all()
    days = moved.day_on_clock("mutations")
    months = cohort.patients["mutations"] - cohort.patients[DAY.name]
    np.testing.assert_allclose(days, months * 30.4375)
    absent = dataclasses.replace(rule, origin="nowhere")
    unknown = dataclasses.replace(cohort, outcome=dataclasses.replace(cohort.outcome, rule=absent))
    assert unknown.day_on_clock(DAY.name).isna().all()
    found = run_one("immortal_time", late_subject(unknown))
    assert (found.status, found.note) == ("not_applicable", "no day is recorded")


def test_without_dated_predictors_nobody_looks() -> None:
    found = run_one("immortal_time", make_subject(clean_times(60)))
    assert found.note == "of nothing that models see the data have the day"


def test_row_order_carries_no_meaning() -> None:
    cohort = late_times(120)
    subject = planted(cohort, np.arange(120), **{ENTRY: 0.0})
    for name in OF_DAYS:
        assert run_one(name, shuffled(subject)) == run_one(name, subject)
