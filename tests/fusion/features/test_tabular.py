"""Feature tables to a matrix: what the columns are, what is fitted, what is missing."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.decomposition import PCA

from featurestore.errors import DataError
from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder

CONFIG = MetadataConfig(embedding_components=4, expression_components=3)


def fitted(table: FeatureTable, modalities: tuple[Modality, ...]) -> TabularEncoder:
    return TabularEncoder(modalities, CONFIG).fit(table)


def test_outputs_are_named_and_belong_to_a_modality(
    table: FeatureTable, modalities: tuple[Modality, ...]
) -> None:
    encoder = fitted(table, modalities)
    names = [f.name for f in encoder.features_]
    assert names[:5] == ["net_a_pc01", "net_a_pc02", "net_a_pc03", "net_a_pc04", "net_a_missing"]
    assert "breslow_missing" in names
    assert names[-4:] == [*(f"expression_pc0{i}" for i in (1, 2, 3)), "expression_missing"]
    by_modality = {f.modality for f in encoder.features_}
    assert by_modality == {"net_a", "clinical", "expression"}
    breslow = next(f for f in encoder.features_ if f.name == "breslow")
    assert (breslow.group, breslow.columns) == ("histopathology", ("breslow",))
    assert encoder.transform(table).shape == (len(table), len(names))


def test_training_rows_come_out_standardised_with_every_patient_counted_once(
    table: FeatureTable, modalities: tuple[Modality, ...]
) -> None:
    x = fitted(table, modalities).transform(table)
    weights = table.row_weights()
    assert np.isfinite(x).all()
    np.testing.assert_allclose(np.average(x, axis=0, weights=weights), 0, atol=1e-6)
    np.testing.assert_allclose(np.average(x**2, axis=0, weights=weights), 1, atol=0.05)


def test_components_are_those_of_scikit_learn(table: FeatureTable) -> None:
    only = Modality("net_a", embeddings=("net_a",))
    present = table.take(~np.isnan(table.embeddings["net_a"]).all(axis=1))
    x = fitted(present, (only,)).transform(present)
    expected = PCA(4).fit_transform(present.embeddings["net_a"].astype(float))
    correlation = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(x.T, expected.T, strict=True)]
    np.testing.assert_allclose(correlation, 1, atol=1e-6)


def test_a_modality_of_two_backbones_has_components_of_each(table: FeatureTable) -> None:
    both = Modality("image", embeddings=("net_a", "net_b"))
    second = dataclasses.replace(
        table, embeddings={**table.embeddings, "net_b": 3 * table.embeddings["net_a"][:, :5]}
    )
    names = [f.name for f in fitted(second, (both,)).features_]
    assert [n for n in names if n.startswith("net_b")] == [
        *(f"net_b_pc0{i}" for i in (1, 2, 3, 4)),
        "net_b_missing",
    ]


def test_a_row_without_image_sits_at_the_training_mean(table: FeatureTable) -> None:
    encoder = fitted(table, (Modality("net_a", embeddings=("net_a",)),))
    missing = np.isnan(table.embeddings["net_a"]).all(axis=1)
    x = encoder.transform(table)
    assert missing.any()
    assert len(np.unique(x[missing], axis=0)) == 1
    assert (x[missing, -1] > 0).all()
    assert (x[~missing, -1] < 0).all()


def test_rows_are_encoded_one_by_one(table: FeatureTable, modalities: tuple[Modality, ...]) -> None:
    encoder = fitted(table, modalities)
    some = np.array([5, 0, 17])
    np.testing.assert_allclose(
        encoder.transform(table.take(some)), encoder.transform(table)[some], rtol=0, atol=1e-12
    )


def test_state_survives_json(table: FeatureTable, modalities: tuple[Modality, ...]) -> None:
    encoder = fitted(table, modalities)
    record, arrays = encoder.to_state()
    again = TabularEncoder.from_state(json.loads(json.dumps(record)), arrays)
    assert again.features_ == encoder.features_
    assert again.dropped_ == encoder.dropped_
    assert again.transform(table).tobytes() == encoder.transform(table).tobytes()


def test_what_says_nothing_is_refused_or_named(
    table: FeatureTable, modalities: tuple[Modality, ...]
) -> None:
    blind = dataclasses.replace(
        table, embeddings={"net_a": np.full_like(table.embeddings["net_a"], np.nan)}
    )
    with pytest.raises(DataError, match="no training patient has an embedding of net_a"):
        fitted(blind, modalities)
    with pytest.raises(DataError, match="embeddings of net_x are absent; the table has net_a"):
        fitted(table, (Modality("net_x", embeddings=("net_x",)),))
    constant = dataclasses.replace(
        table, columns=table.columns.assign(**{f"GENE{i}": 3.0 for i in range(6)})
    )
    with pytest.raises(DataError, match="'expression': none of its columns"):
        fitted(constant, modalities)
    one = dataclasses.replace(table, columns=table.columns.assign(ulceration=1.0))
    assert fitted(one, modalities).dropped_ == ("ulceration",)
