"""The bootstrap: its draws, intervals, tests, and the coverage that it claims."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from featurestore.errors import DataError
from fusion import metrics
from fusion.metrics.bootstrap import (
    Estimate,
    corrected_half_width,
    draw_weights,
    holm,
    in_chunks,
    interval,
    percentile_interval,
)


def test_every_draw_has_as_many_clusters_as_the_study() -> None:
    w = draw_weights([f"P{i}" for i in range(50)], 300, seed=3)
    assert w.shape == (300, 50)
    assert (w.sum(axis=1) == 50).all()
    assert w.mean() == pytest.approx(1)
    assert w.var(axis=0).mean() == pytest.approx(1 - 1 / 50, abs=0.05)  # of a binomial count


def test_patients_of_one_cluster_come_together() -> None:
    clusters = ["a", "b", "a", "c", "c", "c"]
    w = draw_weights(clusters, 100, seed=0)
    np.testing.assert_array_equal(w[:, 0], w[:, 2])
    np.testing.assert_array_equal(w[:, 3], w[:, 5])
    np.testing.assert_array_equal(w[:, 0] + w[:, 1] + w[:, 3], np.full(100, 3))


def test_draws_belong_to_clusters_and_not_to_rows() -> None:
    clusters = np.array(["a", "b", "c", "d", "b"])
    order = np.array([4, 2, 0, 3, 1])
    w = draw_weights(clusters, 50, seed=1)
    np.testing.assert_array_equal(w[:, order], draw_weights(clusters[order], 50, seed=1))
    assert (w != draw_weights(clusters, 50, seed=2)).any()


def test_chunks_are_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusion.metrics.bootstrap.CHUNK_CELLS", 70)
    w = draw_weights([str(i) for i in range(10)], 33, seed=0)
    parts = list(in_chunks(w))
    assert [len(p) for p in parts] == [7, 7, 7, 7, 5]
    assert all(p.dtype == np.float64 for p in parts)
    np.testing.assert_array_equal(np.concatenate(parts), w)


def test_no_patient_is_refused() -> None:
    with pytest.raises(DataError, match="at least one patient"):
        draw_weights([], 10, seed=0)


def test_interval_is_the_percentile_interval_of_the_defined_draws() -> None:
    draws = np.concatenate([np.arange(1000) / 1000, np.full(100, np.nan)])
    found = interval(0.5, draws)
    assert (found.low, found.high) == pytest.approx((0.024975, 0.974025))


def test_too_few_defined_draws_give_no_interval() -> None:
    draws = np.concatenate([np.arange(70) / 100, np.full(30, np.nan)])
    found = percentile_interval(0.5, draws)
    assert found.value == 0.5
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(interval(float("nan"), np.arange(10.0)).low)


@pytest.mark.parametrize("trials", [1, 5, 40, 400])
def test_a_perfect_share_gets_the_exact_binomial_interval(trials: int) -> None:
    for value, successes in ((1.0, trials), (0.0, 0)):
        found = interval(value, np.full(100, value), trials)
        expected = proportion_confint(successes, trials, method="beta")
        assert (found.low, found.high) == pytest.approx(tuple(np.nan_to_num(expected, nan=value)))
    assert interval(1.0, np.full(100, 1.0), trials).low == pytest.approx(0.025 ** (1 / trials))


def test_a_perfect_value_that_is_no_share_gets_no_interval() -> None:
    assert np.isnan(interval(1.0, np.ones(100), None).low)
    # A score that ranks nobody has an AUROC of exactly one half in every population.
    assert interval(0.5, np.full(100, 0.5), 20) == Estimate(0.5, 0.5, 0.5, "percentile")
    assert percentile_interval(0.0, np.zeros(100)) == Estimate(0.0, 0.0, 0.0, "percentile")


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_holm_equals_statsmodels(size: int) -> None:
    p = np.round(np.random.default_rng(size).random(size) ** 3, 2)  # some are equal
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_holm_does_not_count_what_was_not_tested() -> None:
    assert holm([0.01, float("nan"), 0.02])[0] == pytest.approx(0.02)
    assert np.isnan(holm([0.01, float("nan"), 0.02])[1])
    assert holm([]) == []


def test_corrected_half_width_by_hand() -> None:
    differences = np.array([0.01, 0.03, 0.02, np.nan, 0.05, 0.04])
    # s² = 0.00025 over 5 folds; (1/5 + 1/4) s² ; t(0.975; 4) = 2.776445
    assert corrected_half_width(differences, 0.25) == pytest.approx(
        2.776445105 * np.sqrt(0.00025 * 0.45)
    )
    assert np.isnan(corrected_half_width(np.array([0.1, 0.2]), 0.25))


def _cohort(
    rng: np.random.Generator, patients: int, size: int, area: float
) -> tuple[np.ndarray, ...]:
    """Binormal scores with a known AUROC; patients come in clusters that share most of theirs."""
    cluster = np.arange(patients) // size
    shared = rng.normal(size=cluster.max() + 1)[cluster]
    y = (rng.random(cluster.max() + 1) < 0.3).astype(float)[cluster]
    noise = np.sqrt(0.8) * shared + np.sqrt(0.2) * rng.normal(size=patients)
    return y, noise + y * np.sqrt(2) * norm.ppf(area), cluster.astype(str)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "size", "area"), [(150, 1, 0.75), (400, 1, 0.9), (400, 3, 0.75)]
)
def test_the_95_percent_interval_covers_the_true_auroc(
    patients: int, size: int, area: float
) -> None:
    rng = np.random.default_rng(7)
    cohorts, covered = 1000, 0
    for k in range(cohorts):
        y, score, clusters = _cohort(rng, patients, size, area)
        draws = metrics.auroc(y, score, draw_weights(clusters, 500, seed=k))
        found = interval(metrics.auroc(y, score)[0], draws)
        covered += found.low <= area <= found.high
    assert 0.93 <= covered / cohorts <= 0.97


def test_rows_drawn_one_by_one_would_miss_the_clusters() -> None:
    """Why whole clusters are drawn: the naive interval is too narrow."""
    rng = np.random.default_rng(0)
    y, score, clusters = _cohort(rng, 600, 5, 0.75)
    value = metrics.auroc(y, score)[0]
    widths = []
    for units in (clusters, np.arange(600).astype(str)):
        found = interval(value, metrics.auroc(y, score, draw_weights(units, 500, seed=0)))
        widths.append(found.high - found.low)
    assert widths[0] > 1.4 * widths[1]
