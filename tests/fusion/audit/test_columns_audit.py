"""Copies of the outcome, late columns and denied columns."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from audit_example import CLINICAL, clean_cohort, find_check, make_subject, run_one, with_column
from scipy.special import comb

from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from featurestore.tables.dictionary import Column
from fusion.audit import Acceptance
from fusion.audit.determination import (
    CHANCE,
    by_levels,
    by_threshold,
    chance_of_levels,
    chance_of_plane,
    chance_of_threshold,
    separating_columns,
)
from fusion.audit.run import run_checks


@pytest.fixture
def cohort() -> Cohort:
    return clean_cohort(patients=160)


def outcome(cohort: Cohort) -> np.ndarray:
    return cohort.patients["outcome"].to_numpy(float)


def staging(name: str, kind: str = "numeric", **rest: object) -> Column:
    return Column(name, kind, "staging", measured="diagnosis", **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "make", "words"),
    [
        (staging("flag", "binary"), lambda y: y, "up to coding"),
        (staging("turned", "binary"), lambda y: 1 - y, "up to coding"),
        (staging("word", "nominal"), lambda y: np.where(y == 1, "yes", "no"), "up to coding"),
        (staging("months"), lambda y: 40 - 30 * y + np.arange(len(y)) % 9, "cut between"),
        (staging("codes"), lambda y: np.arange(len(y)) % 4 * 2 + y, "levels"),
    ],
)  # fmt: skip
def test_one_column_that_is_the_outcome(
    cohort: Cohort, column: Column, make: object, words: str
) -> None:
    values = make(outcome(cohort))  # type: ignore[operator]
    result = run_one("outcome_copy", make_subject(with_column(cohort, column, values)))
    assert result.severity == "invalidates"
    assert [hit.subjects for hit in result.hits] == [(column.name,)]
    assert words in result.hits[0].text


def test_copy_with_missing_values(cohort: Cohort) -> None:
    values = np.where(np.arange(160) % 3 == 0, np.nan, outcome(cohort))
    column = staging("part", "binary")
    result = run_one("outcome_copy", make_subject(with_column(cohort, column, values)))
    assert "all 106 patients" in result.hits[0].text


def test_pair_that_is_the_outcome_together(cohort: Cohort) -> None:
    coin = np.random.default_rng(2).integers(0, 2, size=160).astype(float)
    cohort = with_column(cohort, staging("coin", "binary"), coin)
    cohort = with_column(cohort, staging("xor", "binary"), (coin != outcome(cohort)).astype(float))
    result = run_one("outcome_copy", make_subject(cohort))
    assert [hit.subjects for hit in result.hits] == [("coin", "xor")]


def test_difference_of_two_columns(cohort: Cohort) -> None:
    rng = np.random.default_rng(3)
    first = 100 * rng.random(160)
    second = first + (2 * outcome(cohort) - 1) * rng.uniform(0.5, 3, size=160)
    cohort = with_column(cohort, staging("start"), first)
    cohort = with_column(cohort, staging("end"), second)
    result = run_one("outcome_copy", make_subject(cohort))
    assert [hit.subjects for hit in result.hits] == [("start", "end")]
    assert "all 160 patients" in result.hits[0].text


def test_ids_determine_everything_and_mean_nothing(cohort: Cohort) -> None:
    ids = [f"r{k}" for k in range(160)]
    cohort = with_column(cohort, staging("row", "nominal", levels=tuple(ids)), ids)
    pairs = np.arange(160) // 2
    cohort = with_column(cohort, staging("pair"), pairs.astype(float))
    assert run_one("outcome_copy", make_subject(cohort)).status == "clear"


def test_many_columns_separate_few_patients() -> None:
    """20 columns of noise separate 30 patients, as Cover says they must."""
    rng = np.random.default_rng(0)
    columns = [staging(f"n{k}") for k in range(20)]
    frame = pd.DataFrame({c.name: rng.normal(size=30) for c in columns})
    y = np.arange(30) % 2.0
    assert separating_columns(columns, frame, y) == ((), 0)
    assert chance_of_plane(y, 20, 1) == 1.0


def test_column_that_no_arm_sees_is_not_looked_at(cohort: Cohort) -> None:
    column = Column("copy", "binary", "administrative")
    subject = make_subject(with_column(cohort, column, outcome(cohort)))
    assert run_one("outcome_copy", subject).status == "clear"
    seen = make_subject(subject.cohort, (*CLINICAL, "administrative"))
    assert run_one("outcome_copy", seen).status == "fired"


def test_bounds_are_counts() -> None:
    y = np.array([1.0, 1, 0, 0, 0, 0, 1, 0])
    labellings = comb(8, 3)
    assert chance_of_threshold(y, 1) == pytest.approx(2 / labellings)
    assert chance_of_levels(y, 3, 2) == pytest.approx(2 * 8 / labellings)
    # Cover 1965: 2 (C(7, 0) + C(7, 1) + C(7, 2)) of the 2^8 dichotomies of 8 points in a plane
    assert chance_of_plane(y, 2, 1) == pytest.approx(min(1.0, 2 * (1 + 7 + 21) / labellings))


def test_bounds_hold_for_all_labellings() -> None:
    """Every labelling of 8 patients with 3 events, against a threshold and against 4 levels."""
    values, codes = np.arange(8.0), np.repeat(np.arange(4), 2)
    cut, determined, total = 0, 0, 0
    for events in itertools.combinations(range(8), 3):
        y = np.isin(np.arange(8), events).astype(float)
        total += 1
        cut += by_threshold(y, values)
        determined += by_levels(y, codes)
    assert cut / total == pytest.approx(chance_of_threshold(y, 1))
    assert determined / total <= chance_of_levels(y, 4, 1)


def test_late_column_and_unknown_times(cohort: Cohort) -> None:
    late = Column("response", "binary", "staging", measured="follow_up")
    unknown = Column("note", "numeric", "staging")
    rng = np.random.default_rng(0)
    cohort = with_column(cohort, late, rng.integers(0, 2, size=160).astype(float))
    cohort = with_column(cohort, unknown, rng.normal(size=160))
    result = run_one("measured_after", make_subject(cohort))
    assert [(hit.subjects, hit.severity) for hit in result.hits] == [
        (("response",), None),
        (("note",), "note"),
    ]
    assert result.severity == "invalidates"
    assert "follow-up" in result.hits[0].text


def test_withheld_late_column_is_clear(cohort: Cohort) -> None:
    late = Column("response", "binary", "staging", measured="follow_up", leaks=True)
    cohort = with_column(cohort, late, outcome(cohort))
    assert run_one("measured_after", make_subject(cohort)).status == "clear"


def test_outcome_without_time_is_not_applicable(cohort: Cohort) -> None:
    timeless = dataclasses.replace(cohort.outcome, as_of_time="unknown")
    subject = make_subject(dataclasses.replace(cohort, outcome=timeless))
    result = run_one("measured_after", subject)
    assert (result.status, "no as-of time" in result.note) == ("not_applicable", True)


@pytest.mark.parametrize("name", ["event", "days_to_death"])
def test_denied_column_that_is_used_anyway(cohort: Cohort, name: str) -> None:
    column = staging(name)
    cohort = with_column(cohort, column, np.random.default_rng(0).normal(size=160))
    result = run_one("deny_listed", make_subject(cohort))
    assert [hit.subjects for hit in result.hits] == [(name,)]
    withheld = dataclasses.replace(cohort, dictionary=cohort.dictionary.flagged([name]))
    assert run_one("deny_listed", make_subject(withheld)).status == "clear"


def test_accepted_hits_stay_visible_and_do_not_count(cohort: Cohort) -> None:
    subject = make_subject(with_column(cohort, staging("days_to_x"), np.arange(160.0)))
    check = find_check("deny_listed")
    accept = [Acceptance("deny_listed", "days_to_x", "days before birth")]
    report = run_checks([check], subject, accept)
    (result,) = report.results
    assert (result.status, len(result.accepted), result.hits) == ("accepted", 1, ())
    assert "days before birth" in result.note
    assert not report.invalidated
    unused = run_checks([check], subject, [Acceptance("deny_listed", "other", "why not")])
    assert unused.invalidated
    assert "nothing to accept for other" in unused.results[0].note


@pytest.mark.parametrize(
    ("acceptance", "words"),
    [
        (Acceptance("no_such", "x", "y"), "no check is called 'no_such'"),
        (Acceptance("deny_listed", "x", " "), "needs a reason"),
    ],
)
def test_acceptances_that_say_nothing(cohort: Cohort, acceptance: Acceptance, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run_checks([find_check("deny_listed")], make_subject(cohort), [acceptance])


def test_chance_is_small_enough_for_a_grave_finding() -> None:
    assert chance_of_threshold(np.repeat([0.0, 1.0], 8), 1) > CHANCE  # 16 patients prove nothing
    assert chance_of_threshold(np.repeat([0.0, 1.0], 15), 1) < CHANCE
