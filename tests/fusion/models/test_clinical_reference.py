"""The clinical reference: its columns and no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from featurestore.errors import ConfigError
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.features.table import FeatureTable
from fusion.models.base import Model

Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]


def test_clinical_reference_uses_its_columns_and_no_others(parts: Parts, fit: Fitter) -> None:
    model = fit("clinical_reference", parts[0])
    assert model.choices_["columns"] == ["breslow", "ulceration", "age_at_diagnosis"]
    assert model.choices_["basis"] == "Breslow thickness + ulceration + age"
    other = parts[1].columns.copy()
    other["stage"] = "I"
    other["sex"] = "male"
    other[[f"GENE{i}" for i in range(6)]] = 1.0
    changed = dataclasses.replace(parts[1], columns=other, embeddings={})
    expected = model.predict_proba(parts[1])
    assert model.predict_proba(changed).tobytes() == expected.tobytes()


def test_without_any_such_column_asking_for_it_is_an_error(
    fit: Fitter, table: FeatureTable
) -> None:
    bare = dataclasses.replace(
        table, dictionary=DataDictionary([Column("stage", "numeric", "staging")])
    )
    with pytest.raises(ConfigError, match="clinical_reference needs"):
        fit("clinical_reference", bare)
