"""Embeddings unlike those of training are told; others mostly are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.bundle.novelty import SHARE, Novelty
from fusion.features.table import FeatureTable


@pytest.fixture(scope="module")
def training() -> FeatureTable:
    """400 patients on a plane of 5 dimensions in 40, with a little noise."""
    return _table(np.random.default_rng(0), 400)


BASIS = np.random.default_rng(7).normal(size=(5, 40))


def _table(rng: np.random.Generator, n: int) -> FeatureTable:
    from fusion.features.table import FeatureTable as Table

    ids = np.array([f"P{i}" for i in range(n)], dtype=object)
    matrix = rng.normal(size=(n, 5)) @ BASIS + 0.1 * rng.normal(size=(n, 40)) + 3
    import pandas as pd

    from featurestore.tables.dictionary import DataDictionary

    return Table(
        ids, ids, ids, Target.binary(np.arange(n) % 3 == 0),
        {"net": matrix.astype(np.float32)}, pd.DataFrame(index=range(n)), DataDictionary(),
    )  # fmt: skip


def test_new_images_of_the_same_kind_are_flagged_as_often_as_stated(
    training: FeatureTable,
) -> None:
    novelty = Novelty.fit(training, "net", 0)
    fresh = _table(np.random.default_rng(1), 4000).embeddings["net"]
    share = float((novelty.distances(fresh) > novelty.limit).mean())
    assert 0 < share < 3 * (1 - SHARE)
    assert abs(float(np.median(novelty.distances(fresh))) - novelty.quantiles[100]) < 0.1


def test_what_lies_off_the_plane_or_far_along_it_is_flagged(training: FeatureTable) -> None:
    novelty = Novelty.fit(training, "net", 0)
    rng = np.random.default_rng(2)
    off = training.embeddings["net"][:20] + 2 * rng.normal(size=(20, 40))
    along = 8 * rng.normal(size=(20, 5)) @ BASIS + 3
    blank = np.zeros((1, 40))
    for strange in (off, along, blank):
        assert (novelty.distances(strange) > novelty.limit).mean() > 0.9
    assert novelty.nearer(1e9) == 1.0
    assert novelty.nearer(0.0) == 0.0


def test_it_survives_a_trip_through_arrays_and_ignores_rows_without_image(
    training: FeatureTable,
) -> None:
    matrix = training.embeddings["net"].copy()
    matrix[::5] = np.nan
    gaps = dataclasses.replace(training, embeddings={"net": matrix})
    novelty = Novelty.fit(gaps, "net", 0)
    again = Novelty.from_arrays(novelty.to_arrays())
    some = training.embeddings["net"][:9]
    assert again.distances(some).tobytes() == novelty.distances(some).tobytes()
    assert again.limit == novelty.limit
    assert np.isfinite(novelty.quantiles).all()


def test_too_few_images_are_refused(make_table: Callable[..., FeatureTable]) -> None:
    table = make_table(patients=6)
    with pytest.raises(DataError):
        Novelty.fit(table.of_patients(["P0000", "P0002"]), "net_a", 0)
