"""Which penalties a Cox ridge model may choose from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from times_features_example import CONFIG, times_table

from featurestore.errors import DataError
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.features.table import FeatureTable
from fusion.models import make_model
from fusion.models.survival import cox

ARM = Arm("a", "cox_ridge", (Modality("clinical", groups=("told",)),))


@pytest.fixture
def table() -> FeatureTable:
    """One column, which tells the order of all events."""
    made, _ = times_table(60)
    assert made.target.time is not None
    column = Column("told", "numeric", "told")
    columns = made.columns.assign(told=-np.log(made.target.time))
    return dataclasses.replace(made, columns=columns, dictionary=DataDictionary([column]))


def test_a_penalty_without_finite_fit_is_no_candidate(
    table: FeatureTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cox, "PENALTIES", (1.0, 0.0))
    model = make_model(ARM, CONFIG, kind="time_to_event").fit(table, 0)
    (only,) = model.choices_["candidates"]
    assert only["parameters"] == model.choices_["parameters"] == {"penalty": 1.0}


def test_where_no_penalty_has_one_the_error_says_so(
    table: FeatureTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cox, "PENALTIES", (0.0,))
    with pytest.raises(DataError, match="no finite fit"):
        make_model(ARM, CONFIG, kind="time_to_event").fit(table, 0)
