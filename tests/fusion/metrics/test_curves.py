"""Curves against scikit-learn's operating points and the metrics they belong to."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from statsmodels.stats.proportion import proportion_confint

from featurestore.errors import DataError
from fusion import metrics
from fusion.metrics.curves import calibration_curve, decision_curve, pr_curve, roc_curve

GRID = np.linspace(0, 1, 101)


def _study(n: int = 300, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(float)
    p = 1 / (1 + np.exp(-(x + rng.normal(size=n))))
    return y, np.round(p, 1) if ties else p


@pytest.mark.parametrize("ties", [False, True])
def test_roc_curve_passes_through_the_operating_points(ties: bool) -> None:
    y, p = _study(ties=ties)
    fpr, tpr, _ = sklearn.metrics.roc_curve(y, p, drop_intermediate=False)
    top = {rate: tpr[fpr == rate].max() for rate in fpr}
    grid = np.array(sorted(top))
    np.testing.assert_allclose(roc_curve(y, p, grid)[0], [top[rate] for rate in grid])


def test_area_under_the_roc_curve_is_the_auroc() -> None:
    y, p = _study(ties=True)
    fine = np.linspace(0, 1, 200_001)
    area = np.trapezoid(roc_curve(y, p, fine)[0], fine)
    assert area == pytest.approx(metrics.auroc(y, p)[0], abs=1e-4)


@pytest.mark.parametrize("ties", [False, True])
def test_area_under_the_pr_curve_is_average_precision(ties: bool) -> None:
    y, p = _study(ties=ties)
    events = int(y.sum())
    at_each_event = pr_curve(y, p, np.arange(1, events + 1) / events)[0]
    assert at_each_event.mean() == pytest.approx(sklearn.metrics.average_precision_score(y, p))


def test_decision_curve_is_the_net_benefit_and_treat_all_crosses_0_at_the_prevalence() -> None:
    y, p = _study()
    grid = np.array([0.1, 0.35, 0.8])
    expected = [metrics.net_benefit(y, p, threshold=t)[0] for t in grid]
    np.testing.assert_allclose(decision_curve(y, p, grid)[0], expected)
    assert decision_curve(y, np.ones(len(y)), np.array([y.mean()]))[0] == pytest.approx(0)
    with pytest.raises(DataError, match="between 0 and 1"):
        decision_curve(y, p, np.array([0.0]))


@pytest.mark.parametrize("curve", [roc_curve, pr_curve, decision_curve])
def test_weights_are_repeated_rows(curve: object) -> None:
    assert callable(curve)
    y, p = _study(60, ties=True)
    w = np.random.default_rng(1).integers(0, 3, size=(4, 60))
    found = curve(y, p, GRID[1:-1], w)
    for line, values in zip(w, found, strict=True):
        rows = np.repeat(np.arange(60), line)
        np.testing.assert_allclose(values, curve(y[rows], p[rows], GRID[1:-1])[0], atol=1e-12)


def test_one_class_has_no_roc_curve() -> None:
    assert np.isnan(roc_curve(np.ones(3), np.array([0.1, 0.2, 0.3]), GRID)).all()
    assert np.isnan(pr_curve(np.zeros(3), np.array([0.1, 0.2, 0.3]), GRID)).all()


def test_calibration_bins_hold_everyone_and_never_split_ties() -> None:
    y, p = _study(501, ties=True)
    found = calibration_curve(y, p, bins=10)
    assert found.count.sum() == 501
    assert np.all(np.diff(found.predicted) > 0)
    assert (found.observed * found.count).sum() == pytest.approx(y.sum())
    order = np.random.default_rng(0).permutation(501)
    again = calibration_curve(y[order], p[order], bins=10)
    np.testing.assert_allclose(found.observed, again.observed)
    low, high = proportion_confint(found.observed * found.count, found.count, method="wilson")
    np.testing.assert_allclose(found.low, low, atol=1e-12)
    np.testing.assert_allclose(found.high, high, atol=1e-12)


def test_calibration_bins_are_of_about_equal_size_without_ties() -> None:
    y, p = _study(505)
    assert np.ptp(calibration_curve(y, p, bins=10).count) <= 1
    assert len(calibration_curve(y, np.full(505, 0.3)).count) == 1


def test_repeats_count_each_patient_once() -> None:
    """Twice the same predictions are the same curve; two others share their patients' bins."""
    rng = np.random.default_rng(0)
    y, p = (rng.random(200) < 0.3).astype(float), rng.random(200)
    once, twice = calibration_curve(y, p), calibration_curve(y, np.stack([p, p]))
    for name in ("predicted", "observed", "low", "high", "count"):
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name))
    other = calibration_curve(y, np.stack([p, rng.random(200)]))
    assert other.count.sum() == pytest.approx(200)
    assert np.average(other.observed, weights=other.count) == pytest.approx(y.mean())
