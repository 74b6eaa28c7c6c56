"""Sources are joined by ids that mean one patient, however each program spells them."""

from __future__ import annotations

import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.sources.base import NO_IMAGES, SourceTables
from featurestore.sources.joining import join_sources, with_shared_ids
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table


def source(
    name: str, ids: list[str], unit: str = "", values: list[float] | None = None
) -> SourceTables:
    column = Column(name, "numeric", "clinical", unit=unit)
    patients = pd.DataFrame({"patient_id": pd.Series(ids, dtype="str")})
    patients[name] = values or [float(k) for k in range(len(ids))]
    return SourceTables(NO_IMAGES, patients, DataDictionary([column]), exclusions_table())


@pytest.mark.parametrize(
    ("left", "right", "kept"),
    [
        (["0060", "0061", "1000"], ["60", "61", "1000"], ["0060", "0061", "1000"]),
        (["60", "61"], ["060", "0061"], ["60", "61"]),
        (["p1", "p2"], ["P1", "P2"], ["p1", "p2"]),
        (["ISIC_1", "ISIC_2"], ["ISIC_1_downsampled", "ISIC_2.jpg"], ["ISIC_1", "ISIC_2"]),
    ],
)
def test_spelling_is_no_difference(left: list[str], right: list[str], kept: list[str]) -> None:
    joined = join_sources([source("a", left), source("b", right)], "patient")
    assert joined.patients["patient_id"].tolist() == kept
    assert joined.patients[["a", "b"]].notna().all(axis=None)
    assert "are spelled differently in several sources" in joined.notes[0]
    assert joined.tables[1].patients["patient_id"].tolist() == kept


def test_ids_that_one_source_tells_apart_are_two_people() -> None:
    tables, notes = with_shared_ids([source("a", ["60", "060"]), source("b", ["60"])])
    assert notes == ()
    assert [t.patients["patient_id"].tolist() for t in tables] == [["60", "060"], ["60"]]


def test_other_ids_are_a_named_conflict() -> None:
    with pytest.raises(DataError, match=r"source 1 shares no patient id .* P1.* they have Q1"):
        join_sources([source("a", ["P1"]), source("b", ["Q1"])], "patient")


def test_ages_in_full_years_agree_with_ages_in_days() -> None:
    ids = ["a", "b", "c"]
    days = source("age", ids, "years", [24.64, 25.9, 70.0])
    years = source("age", ids, "years", [24.0, 26.0, 75.0])
    joined = join_sources([days, years], "patient")
    assert joined.patients["age"].tolist() == [24.64, 25.9, 70.0]
    assert joined.conflicts["id"].tolist() == ["c"]
