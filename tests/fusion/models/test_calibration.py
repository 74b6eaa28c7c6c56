"""Calibrations against scikit-learn and against what they must never do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from fusion import metrics
from fusion.config import AblationConfig, HeadConfig
from fusion.metrics.logits import sigmoid
from fusion.models.base import InnerPredictions
from fusion.models.calibration import (
    CALIBRATIONS,
    MIN_SLOPE,
    IsotonicScaling,
    TemperatureScaling,
    calibrate,
    calibration_record,
    cross_fitted_platt,
    fit_platt,
)
from fusion.models.registry import chosen_calibration


def overconfident(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores twice as far from zero as the log odds that outcomes are drawn from."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(size=n)
    return 2 * log_odds, (rng.random(n) < sigmoid(log_odds)).astype(float)


@pytest.mark.parametrize("method", CALIBRATIONS)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(-20, 20)), min_size=4, max_size=40).filter(
        lambda rows: len({y for y, _ in rows}) == 2
    )
)
def test_probabilities_rise_with_the_score(method: str, rows: list[tuple[bool, int]]) -> None:
    y, score = np.array(rows, dtype=float).T
    probability = CALIBRATIONS[method](score, y)(np.linspace(-25, 25, 101))
    assert ((probability >= 0) & (probability <= 1)).all()
    assert (np.diff(probability) >= -1e-12).all()


@pytest.mark.parametrize("method", ["platt", "temperature", "isotonic"])
def test_overconfidence_is_taken_back_on_new_patients(method: str) -> None:
    fitted = CALIBRATIONS[method](*overconfident(seed=0))
    score, y = overconfident(seed=1)
    assert metrics.calibration_slope(y, sigmoid(score))[0] == pytest.approx(0.5, abs=0.05)
    assert metrics.calibration_slope(y, fitted(score))[0] == pytest.approx(1.0, abs=0.1)
    assert metrics.brier(y, fitted(score))[0] < metrics.brier(y, sigmoid(score))[0]


def test_isotonic_equals_scikit_learn_at_the_scores() -> None:
    score, y = overconfident(200)
    fitted = CALIBRATIONS["isotonic"](score, y)
    assert isinstance(fitted, IsotonicScaling)
    reference = IsotonicRegression().fit(score, y).predict(score)
    inside = (reference > reference.min()) & (reference < reference.max())
    assert inside.sum() > 100
    np.testing.assert_allclose(fitted(score)[inside], reference[inside], atol=1e-12)
    lowest = reference == reference.min()
    expected = (y[lowest].sum() + 0.5) / (lowest.sum() + 1)
    np.testing.assert_allclose(fitted(score)[lowest], expected, atol=1e-12)


def test_temperature_is_that_of_the_highest_likelihood() -> None:
    score, y = overconfident(500)
    fitted = CALIBRATIONS["temperature"](score, y)
    assert isinstance(fitted, TemperatureScaling)

    def loss(temperature: float) -> float:
        p = sigmoid(score / temperature)
        return -float(np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    assert fitted.temperature == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_patients_count_once_and_the_record_is_json(method: str) -> None:
    inner = InnerPredictions(
        np.array(["A", "A", "B", "C", "D"]),
        np.array([1.0, 1.0, 0.0, 1.0, 0.0]),
        np.array([0.9, 0.5, 0.2, 0.6, 0.4]),
    )
    calibrated = calibrate(inner, method)
    assert list(calibrated.inner.patient_ids) == ["A", "B", "C", "D"]
    assert json.loads(json.dumps(calibration_record(calibrated.fitted))) is not None


def test_auto_recalibrates_what_weighted_sampling_moved() -> None:
    sampled = AblationConfig(head=HeadConfig(weighted_sampling=True))
    assert chosen_calibration("fusion_head", sampled) == "platt"
    assert chosen_calibration("lightgbm", sampled) == "none"
    assert chosen_calibration("fusion_head", AblationConfig()) == "none"
    chosen = AblationConfig(calibration="isotonic")
    assert chosen_calibration("lightgbm", chosen) == "isotonic"


class TestPlatt:
    def test_recovers_a_known_scaling(self) -> None:
        rng = np.random.default_rng(0)
        score = 3 * rng.normal(size=20_000) + 5
        y = (rng.random(20_000) < 1 / (1 + np.exp(-(0.7 * score - 4)))).astype(float)
        fitted = fit_platt(score, y, np.ones(20_000))
        assert fitted.slope == pytest.approx(0.7, abs=0.03)
        assert fitted.intercept == pytest.approx(-4, abs=0.15)

    def test_stays_finite_where_scores_separate(self) -> None:
        y = np.repeat([0.0, 1.0], 20)
        p = fit_platt(y * 2 - 1, y, np.ones(40))(y * 2 - 1)
        assert 0 < p.min() < 0.1
        assert 0.9 < p.max() < 1

    def test_never_reverses_a_ranking(self) -> None:
        rng = np.random.default_rng(0)
        score = rng.normal(size=100)
        y = (score < 0).astype(float)
        fitted = fit_platt(score, y, np.ones(100))
        assert 0 < fitted.slope <= 2 * MIN_SLOPE
        assert (np.argsort(fitted(score)) == np.argsort(score)).all()

    def test_constant_scores_give_the_prevalence(self) -> None:
        y = np.array([1.0, 0, 0, 0] * 25)
        p = fit_platt(np.full(100, 2.0), y, np.ones(100))(np.array([2.0]))
        assert p[0] == pytest.approx(0.25, abs=0.02)

    def test_cross_fitting_leaves_the_own_fold_out(self) -> None:
        rng = np.random.default_rng(0)
        score, y = rng.normal(size=60), (rng.random(60) < 0.4).astype(float)
        folds = [np.arange(30), np.arange(30, 60)]
        before = cross_fitted_platt(score, y, np.ones(60), folds)
        flipped = np.where(np.arange(60) < 30, 1 - y, y)
        after = cross_fitted_platt(score, flipped, np.ones(60), folds)
        assert before[:30].tobytes() == after[:30].tobytes()
        assert before[30:].tobytes() != after[30:].tobytes()
