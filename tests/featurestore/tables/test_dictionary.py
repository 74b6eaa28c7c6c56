"""The data dictionary keeps order, refuses doubles and survives JSON."""

from __future__ import annotations

import json

import pytest

from featurestore.errors import DataError
from featurestore.tables.dictionary import Column, DataDictionary

AGE = Column("age", "numeric", "demographic", unit="years")
STAGE = Column("stage", "ordinal", "staging", levels=("I", "II", "III", "IV"))
GENE = Column("MITF", "expression", "expression")


def test_json_round_trip() -> None:
    dictionary = DataDictionary([AGE, STAGE, GENE])
    records = json.loads(json.dumps(dictionary.to_records()))
    assert DataDictionary.from_records(records) == dictionary


def test_flagged_columns_are_no_features() -> None:
    dictionary = DataDictionary([AGE, STAGE, GENE]).flagged(["stage"])
    assert [c.name for c in dictionary.features()] == ["age", "MITF"]
    assert dictionary.groups == ["demographic", "expression"]
    assert dictionary.names == ["age", "stage", "MITF"]


def test_a_name_stands_once() -> None:
    with pytest.raises(DataError, match="'age' twice"):
        DataDictionary([AGE]).merged(DataDictionary([AGE]))


def test_bad_columns_are_refused() -> None:
    with pytest.raises(DataError, match="not one of numeric"):
        Column("x", "float", "g")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="levels in ascending order"):
        Column("x", "ordinal", "g")
