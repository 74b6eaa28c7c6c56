"""Benchmarks and their baselines do the same: numbers agree at tiny sizes, no time is tested."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import bootstrap, calibration, copies, heads, made
from benchmarks.speed.figures import Business, Took, details
from benchmarks.speed.growth_drawing import Series, drawing
from benchmarks.speed.registry import BENCHMARKS
from featurestore.images.duplicates import near_pairs
from featurestore.store import FeatureStore
from fusion.config import HeadConfig
from fusion.metrics import draw_weights


def test_every_registered_benchmark_can_be_measured() -> None:
    for module in BENCHMARKS.values():
        assert callable(importlib.import_module(module).measure)


def test_the_bootstrap_is_that_of_scikit_learn() -> None:
    y, arms = bootstrap.material(60, 2)
    arms[0] = arms[0].round(1)  # ties
    weights = draw_weights([str(k) for k in range(60)], 4, 0)
    own, loop = (f(y, arms, weights) for f in (bootstrap.own, bootstrap.loop))
    np.testing.assert_allclose(own, loop, atol=2e-6)


def test_the_calibration_is_that_of_scikit_learn() -> None:
    y, arms = bootstrap.material(200, 1)
    weights = draw_weights([str(k) for k in range(200)], 3, 0)
    own = calibration.own(y, arms[0], weights)
    loop = calibration.loop(y, arms[0], weights.astype(float))
    assert own.shape == (2, 3)
    np.testing.assert_allclose(own[0], loop, rtol=1e-3)


def test_planted_copies_are_found() -> None:
    hashes, thumbnails = copies.material(40, 3)
    pairs = {tuple(pair) for pair in near_pairs(hashes, thumbnails).tolist()}
    assert {(0, 37), (1, 38), (2, 39)} <= pairs


def test_a_made_store_has_what_its_cohort_names(tmp_path: Path) -> None:
    identity = made.encoder("net", 8)
    store = made.write_store(tmp_path, identity, 50, shard_rows=16)
    cohort = made.cohort(50)
    values = FeatureStore(store.root).read(identity, cohort.images["sha256"].tolist())
    y = cohort.patients["outcome"].to_numpy()
    assert values.shape == (50, 8)
    assert values[y == 1, 0].mean() > values[y == 0, 0].mean()


def test_heads_trained_in_every_way_discriminate_alike() -> None:
    took, auroc = heads.train_grid(300, 1, 2, HeadConfig(epochs=6, ensemble=2))
    assert list(took) == list(auroc) == ["loader", "one by one", "batched"]
    assert min(auroc.values()) > 0.65
    assert max(auroc.values()) - min(auroc.values()) < 0.05


def test_ratios_are_baseline_over_own() -> None:
    found = details(Took(6.0, 4.0), Took(2.0, 1.0))
    assert (found["wall_ratio"], found["cpu_ratio"]) == (3.0, 4.0)
    assert np.isfinite(Business().load)


def test_growth_is_the_slope_of_a_line_through_logarithms() -> None:
    sizes = (10, 20, 50)
    linear, quadratic = (tuple(3.0 * n**power for n in sizes) for power in (1, 2))
    assert Series("a", "rows", sizes, linear).doubling == pytest.approx(2)
    assert Series("a", "rows", sizes, quadratic).doubling == pytest.approx(4)


def test_growth_is_drawn_from_its_points_alone() -> None:
    record = {
        "what": "opening",
        "along": "rows",
        "sizes": [1, 2],
        "seconds": [2.0, 4.0],
        "clock": "",
    }
    series = [Series.of(record)]
    assert "twice as many: 2.0 times" in drawing(series)
    assert drawing(series) == drawing(series)
