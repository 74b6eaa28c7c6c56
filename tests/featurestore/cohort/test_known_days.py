"""When values became known: days of columns and encoders, and the way back to time zero."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from featurestore.cohort.assemble import known_days
from featurestore.cohort.config import CohortConfig
from featurestore.errors import DataError
from featurestore.outcomes import OUTCOMES, TimesRule
from featurestore.tables.dictionary import Column, DataDictionary

DICTIONARY = DataDictionary(
    [
        Column("age", "numeric", "demographic", measured="diagnosis"),
        Column("days_to_specimen", "numeric", "specimen", measured="specimen"),
        Column("biopsied_on", "numeric", "specimen", measured="specimen"),
        Column("mut_BRAF", "binary", "mutation", measured="specimen"),
    ]
)
SOURCE = {"kind": "synthetic", "patients": 40}


def config(outcome: object, **rest: object) -> CohortConfig:
    return TypeAdapter(CohortConfig).validate_python(
        {"sources": [SOURCE], "outcome": outcome, **rest}
    )


def test_the_usual_column_is_found_and_a_stated_one_comes_first() -> None:
    assert known_days(DICTIONARY, {}) == {"specimen": "days_to_specimen"}
    stated = known_days(DICTIONARY, {"specimen": "biopsied_on"})
    assert stated == {"specimen": "biopsied_on"}
    assert known_days(DataDictionary([]), {}) == {}


def test_columns_carry_the_column_of_their_day() -> None:
    dated = DICTIONARY.dated({"specimen": "days_to_specimen"})
    assert dated["mut_BRAF"].known_on == "days_to_specimen"
    assert dated["age"].known_on == ""
    assert DataDictionary.from_records(dated.to_records()) == dated
    assert "known_on" not in DICTIONARY.to_records()[0]  # digests of undated cohorts stay


@pytest.mark.parametrize("name", ["nowhere", "mut_BRAF"])
def test_a_stated_column_must_hold_days(name: str) -> None:
    with pytest.raises(DataError, match=f"cohort.known_on.specimen names '{name}'"):
        known_days(DICTIONARY, {"specimen": name})


def test_back_to_the_time_zero_of_a_registered_outcome() -> None:
    moved = config({"registered": "overall_survival", "origin": "days_to_specimen", "name": "mine"})
    assert moved.from_time_zero().find_outcome() == OUTCOMES["overall_survival"]
    named = config("overall_survival")
    assert named.from_time_zero() == named
    assert named.from_time_zero(["mut_BRAF"]).use_anyway == ("mut_BRAF",)


def test_back_to_the_time_zero_of_an_outcome_of_ones_own() -> None:
    own = {
        "name": "own",
        "kind": "time_to_event",
        "time": "days",
        "event": "died",
        "entry": "biopsied_on",
        "as_of_time": "specimen",
        "time_zero": "diagnosis",
    }
    found = config(own).from_time_zero().find_outcome()
    assert isinstance(found.rule, TimesRule)
    assert (found.rule.entry, found.as_of_time, found.time_zero) == ("", "diagnosis", "diagnosis")
    plain = config(own | {"entry": ""})
    assert plain.from_time_zero() == plain  # the specimen is its time zero already
