"""Times to an event out of columns: what is read, and why a patient has none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import (
    DAYS_IN,
    ENTRY,
    OUTCOMES,
    TIME,
    ExpressionRule,
    Outcome,
    TimesRule,
    ValueRule,
    within,
)
from featurestore.outcomes.base import NO_COLUMNS
from featurestore.tables.dictionary import DataDictionary
from featurestore.tables.vocabulary import VOCABULARY

NO_IMAGES = pd.DataFrame({"patient_id": []})
RULE = TimesRule(
    event=ValueRule("relapse"),
    event_time="days_to_relapse",
    censoring_time="days_seen",
    competing=ValueRule("died"),
    entry="days_in",
)
N = np.nan
# relapse, died, days_to_relapse, days_seen, days_in -> code, time, entry, or why there is none
ROWS = {
    "event": ((1, 0, 100, 300, 0), (1, 100, 0)),
    "event, then death": ((1, 1, 100, 300, 0), (1, 100, 0)),
    "censored": ((0, 0, N, 300, 0), (0, 300, 0)),
    "competing": ((0, 1, N, 300, 0), (2, 300, 0)),
    "late entry": ((0, 0, N, 300, 20), (0, 300, 20)),
    "entry before time zero": ((0, 0, N, 300, -5), (0, 300, 0)),
    "part of a day": ((1, 0, 99.6, 300, 0), (1, 100, 0)),
    "unknown state": ((N, 0, N, 300, 0), "whether the event came is not known"),
    "unknown competing state": ((0, N, N, 300, 0), "whether the competing event came is not known"),
    "event without time": ((1, 0, N, 300, 0), "event without time (days_to_relapse)"),
    "time without event": ((0, 0, 100, 300, 0), "time without event (days_to_relapse)"),
    "no contact": ((0, 0, N, N, 0), "no event and no time of last contact (days_seen)"),
    "competing without time": ((0, 1, N, N, 0), "competing event without time (days_seen)"),
    "negative": ((1, 0, -3, 300, 0), "the time ends before time zero"),
    "zero": ((0, 0, N, 0, 0), "the time ends at time zero"),
    "entry unknown": ((0, 0, N, 300, N), "no entry (days_in)"),
    "entry at exit": ((1, 0, 100, 300, 100), "observation begins at or after the end of the time"),
    "entry after exit": ((0, 0, N, 300, 400), "observation begins at or after the end of the time"),
}
COLUMNS = ["relapse", "died", "days_to_relapse", "days_seen", "days_in"]
TABLE = pd.DataFrame([given for given, _ in ROWS.values()], columns=COLUMNS, index=list(ROWS))


@pytest.mark.parametrize("name", ROWS)
def test_each_row_has_a_time_or_a_reason(name: str) -> None:
    row = RULE.known(TABLE, NO_COLUMNS, "o").loc[name]
    expected = ROWS[name][1]
    if isinstance(expected, str):
        assert row["reason"] == expected
        assert row[["outcome", TIME, ENTRY]].isna().all()
    else:
        assert row["reason"] == ""
        assert tuple(row[["outcome", TIME, ENTRY]]) == expected


def test_order_of_rows_means_nothing() -> None:
    turned = RULE.known(TABLE.iloc[::-1], NO_COLUMNS, "o").iloc[::-1]
    pd.testing.assert_frame_equal(turned, RULE.known(TABLE, NO_COLUMNS, "o"))


def test_a_competing_event_with_a_time_of_its_own_may_come_first() -> None:
    rule = dataclasses.replace(RULE, competing_time="days_died", entry="")
    table = pd.DataFrame(
        [(1, 1, 100, 300, 60), (1, 1, 100, 300, 200)],
        columns=["relapse", "died", "days_to_relapse", "days_seen", "days_died"],
    )
    known = rule.known(table, NO_COLUMNS, "o")
    assert known["outcome"].tolist() == [2, 1]
    assert known[TIME].tolist() == [60, 100]


@pytest.mark.parametrize(("unit", "factor"), [("months", 30.4375), ("years", 365.25)])
def test_units_become_days(unit: str, factor: float) -> None:
    rule = TimesRule(ValueRule("e"), "t", "t", unit=unit)  # type: ignore[arg-type]
    known = rule.known(pd.DataFrame({"e": ["1", "no"], "t": ["1.5", "2"]}), NO_COLUMNS, "o")
    np.testing.assert_allclose(known[TIME], [1.5 * factor, 2 * factor])
    assert known["outcome"].tolist() == [1, 0]


def test_an_origin_moves_time_zero_and_leaves_out_who_had_the_event_before() -> None:
    rule = TimesRule(ValueRule("e"), "t", "t", origin="zero")
    table = pd.DataFrame({"e": [1, 1, 0, 1], "t": [900, 50, 400, 10], "zero": [700, 60, N, 10]})
    known = rule.known(table, NO_COLUMNS, "o")
    assert known[TIME].tolist()[:1] == [200]
    assert known["reason"].tolist() == [
        "",
        "the time ends before time zero",
        "no zero, from which time would be counted",
        "the time ends at time zero",
    ]


def test_months_that_are_days_are_refused() -> None:
    rule = TimesRule(ValueRule("e"), "t", "t", unit="months")
    table = pd.DataFrame({"e": [1, 0], "t": [100, 3650]})
    with pytest.raises(DataError, match=r"column 't' in months .* up to 304\.2 years.*longer"):
        rule.known(table, NO_COLUMNS, "o")


def test_a_code_that_is_not_declared_is_refused() -> None:
    table = pd.DataFrame({"e": [0, 1, 3], "t": [1, 2, 3]})
    with pytest.raises(DataError, match=r"'e' holds values that are neither .*: 3"):
        TimesRule(ValueRule("e"), "t", "t").known(table, NO_COLUMNS, "o")


def test_times_that_are_texts_are_refused() -> None:
    table = pd.DataFrame({"e": [0, 1], "t": ["soon", "later"]})
    with pytest.raises(DataError, match="column 't' is read as numbers"):
        TimesRule(ValueRule("e"), "t", "t").known(table, NO_COLUMNS, "o")


def test_columns_of_times_are_denied_whoever_names_them() -> None:
    outcome = Outcome("o", "d.", "patient", "x", RULE, kind="time_to_event")
    asked = ["OS_MONTHS", "days_to_biopsy", "pfi_time", "n_follow_ups", "relapse", "days_in", "age"]
    assert outcome.denied(asked) == asked[:-1]


def test_images_of_one_patient_must_agree() -> None:
    outcome = Outcome("o", "d.", "patient", "x", TimesRule(ValueRule("e"), "t", "t"))
    images = pd.DataFrame({"patient_id": list("aabb"), "e": [1, 1, 0, 0], "t": [5, 5, 6, 7]})
    known = outcome.known(pd.DataFrame({"patient_id": ["a", "b"]}), images)
    assert known.loc["a", TIME] == 5
    assert known.loc["b", "reason"] == "its images differ in the outcome"
    assert np.isnan(known.loc["b", "outcome"])


def test_within_a_time_only_those_known_count() -> None:
    outcome = within(
        Outcome(
            "relapse",
            "d.",
            "patient",
            "x",
            TimesRule(ValueRule("e"), "t", "t", competing=ExpressionRule("dead == 1 and e == 0")),
            kind="time_to_event",
            horizons=(730.5,),
        ),
        730.5,
    )
    patients = pd.DataFrame(
        {
            "patient_id": ["before", "after", "free", "lost", "dead", "unknown"],
            "e": [1, 1, 0, 0, 0, N],
            "dead": [0, 0, 0, 0, 1, 0],
            "t": [700, 800, 731, 700, 700, 700],
        }
    )
    known = outcome.known(patients, NO_IMAGES)
    assert outcome.kind == "binary"
    assert outcome.name == "relapse_within_2_years"
    np.testing.assert_array_equal(known["outcome"], [1, 0, 0, N, 0, N])
    assert known.loc["lost", "reason"] == "followed for less than 2 years"
    assert known.loc["unknown", "reason"] == "whether the event came is not known"


def test_within_needs_times_and_no_late_entry() -> None:
    with pytest.raises(DataError, match="has no times"):
        within(OUTCOMES["stage_iv"], 730.5)
    late = dataclasses.replace(OUTCOMES["overall_survival"], rule=RULE)
    with pytest.raises(DataError, match="takes no late entry"):
        within(late, 730.5)


TIMES = [outcome for outcome in OUTCOMES.values() if outcome.kind == "time_to_event"]


@pytest.mark.parametrize("outcome", TIMES, ids=lambda o: o.name)
def test_every_registered_time_is_complete(outcome: Outcome) -> None:
    assert outcome.definition.endswith(".")
    assert outcome.caveats
    assert outcome.time_zero
    assert outcome.horizons == (2 * DAYS_IN["years"], 5 * DAYS_IN["years"])
    dictionary = DataDictionary(term.column for term in VOCABULARY.values())
    follow_up = {c.name for c in dictionary if c.measured == "follow_up"}
    left = follow_up - set(outcome.denied(dictionary.names)) - {"distant_metastasis"}
    assert not left
