"""Dated events of patients, by stated rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.sources.events import EVENT_HEADERS, event_columns, listed_events

KIND, DAYS = EVENT_HEADERS


def listed(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["id", KIND, DAYS], dtype="str")
    return listed_events(table, table["id"])


def columns(events: pd.DataFrame, said: dict[str, float]) -> pd.DataFrame:
    patients = pd.Series(sorted({*events["patient_id"], *said}), dtype="str")
    frame, dictionary, _ = event_columns(patients, events, pd.Series(said, dtype=float))
    assert dictionary.names == list(frame.columns)
    return frame.set_index(patients)


def test_joined_events_belong_together_in_order() -> None:
    events = listed(
        ("a", "Regional lymph node|Distant Metastasis", "10|20"),
        ("b", "Distant Metastasis|Distant Metastasis", "30"),
        ("c", "[Not Available]", "[Not Available]"),
        ("d", "[Not Available]", "40"),
    )
    assert events["patient_id"].tolist() == ["a", "a", "b", "b", "d"]
    assert events["kind"].tolist()[:4] == ["regional lymph node", *["distant metastasis"] * 3]
    assert events["kind"].isna().tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(events["days"], [10, 20, np.nan, np.nan, 40])


def test_distant_metastasis() -> None:
    events = listed(
        ("distant", "Distant Metastasis", "300"),
        ("distant", "Distant Metastasis", "200"),
        ("undated", "Distant Metastasis", "[Not Available]"),
        ("early", "Distant Metastasis", "0"),
        ("regional", "Regional lymph node", "50"),
        ("untold", "[Not Available]", "60"),
        ("both", "Regional lymph node", "70"),
        ("both", "[Not Available]", "80"),
    )
    said = {"denied": 0.0, "affirmed": 1.0, "unasked": np.nan, "regional": 0.0}
    found = columns(events, said)
    expected = {
        "distant": 1, "undated": 1, "early": 0, "regional": 0, "untold": np.nan, "both": np.nan,
        "denied": 0, "affirmed": np.nan, "unasked": np.nan,
    }  # fmt: skip
    for patient, value in expected.items():
        np.testing.assert_equal(found.loc[patient, "distant_metastasis"], float(value))
    assert found.loc["distant", "days_to_distant_metastasis"] == 200
    assert np.isnan(found.loc["undated", "days_to_distant_metastasis"])
    assert found.loc["regional", "new_tumor_event"] == 1  # listed, though one table denies it
    assert found.loc["denied", "new_tumor_event"] == 0


def test_what_is_contradicted_or_too_early_is_reported() -> None:
    events = listed(("a", "Distant Metastasis", "-5"), ("b", "Regional lymph node", "9"))
    patients = pd.Series(["a", "b"], dtype="str")
    _, _, exclusions = event_columns(patients, events, pd.Series({"b": 0.0}))
    assert sorted(exclusions["id"]) == ["a", "b"]
    assert exclusions["reason"].str.contains("on or before the day of diagnosis").sum() == 1


KINDS = st.sampled_from(["Distant Metastasis", "Regional lymph node", "[Not Available]"])
ROWS = st.tuples(st.sampled_from("abcd"), KINDS, st.integers(-10, 900).map(str))


@settings(deadline=None)
@given(st.lists(ROWS, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(rows: list[tuple[str, str, str]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    said = {"a": 1.0, "e": 0.0}
    pd.testing.assert_frame_equal(columns(listed(*rows), said), columns(listed(*shuffled), said))


@settings(deadline=None)
@given(st.lists(ROWS, max_size=12))
def test_a_later_event_never_takes_a_metastasis_away(rows: list[tuple[str, str, str]]) -> None:
    before = columns(listed(*rows), {"a": 0.0})["distant_metastasis"]
    after = columns(listed(*rows, ("a", "Distant Metastasis", "5")), {"a": 0.0})
    assert after.loc["a", "distant_metastasis"] == 1
    rest = before.drop("a")
    pd.testing.assert_series_equal(after["distant_metastasis"].drop("a"), rest)
