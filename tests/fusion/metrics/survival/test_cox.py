"""Ridge Cox regression against R, statsmodels and scikit-survival."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.duration.hazard_regression import PHReg
from survival_example import COHORT, R, coarse

from featurestore.errors import DataError
from fusion.metrics.survival.cox import cox_ridge
from fusion.metrics.survival.times import checked_times

X = np.stack([COHORT[name] for name in ("x1", "x2", "x3")], axis=1)
# CoxPHSurvivalAnalysis(alpha=5, ties="efron", tol=1e-14).fit(X, y).coef_ of the event of interest
# without delayed entry: scikit-survival 0.28.0.
SKSURV = [0.41009518223468105, 0.01457645681109224, 0.014309400836962277]


def test_equals_coxph() -> None:
    fit = cox_ridge(coarse(entry=True), X)
    np.testing.assert_allclose(fit.coefficients, R["cox.coef"], rtol=1e-7)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), R["cox.se"], rtol=1e-7)
    np.testing.assert_allclose([fit.null, fit.log_likelihood], R["cox.fit_loglik"], rtol=1e-10)
    weighted = cox_ridge(coarse(entry=True), X, weights=COHORT["weight"] + 1)
    np.testing.assert_allclose(weighted.coefficients, R["cox_weighted.coef"], rtol=1e-7)


def test_equals_coxph_with_ridge() -> None:
    fit = cox_ridge(coarse(entry=True), X, 5.0)
    np.testing.assert_allclose(fit.coefficients, R["cox_ridge.coef"], rtol=1e-7)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), R["cox_ridge.se"], rtol=1e-7)


def test_equals_scikit_survival_with_ridge() -> None:
    np.testing.assert_allclose(cox_ridge(coarse(), X, 5.0).coefficients, SKSURV, rtol=1e-6)


@pytest.mark.parametrize("entry", [False, True])
def test_equals_statsmodels(entry: bool) -> None:
    """For statsmodels who enters at an event is at risk for it: here nobody does."""
    times = coarse(entry)
    late = times.entry + 0.01 * (times.entry > 0)
    times = checked_times(times.time, times.event, late, codes=(0, 1, 2))
    model = PHReg(
        times.time,
        X,
        status=times.event == 1,
        entry=times.entry if entry else None,
        ties="efron",
    )
    fit = cox_ridge(times, X)
    np.testing.assert_allclose(fit.coefficients, model.fit().params, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), model.fit().bse, rtol=1e-5)


def test_weights_are_repeated_rows_where_nothing_is_tied() -> None:
    """A copy is a tie, and Efron treats ties apart: only weights of one factor are the same."""
    times = coarse(entry=True)
    found = cox_ridge(times, X, 5.0)
    doubled = cox_ridge(times, X, 10.0, np.full(len(times), 2.0))
    np.testing.assert_allclose(doubled.coefficients, found.coefficients, rtol=1e-8)
    without = COHORT["weight"] > 0
    kept = cox_ridge(times.take(without), X[without], 1.0)
    dropped = cox_ridge(times, X, 1.0, without.astype(float))
    np.testing.assert_allclose(dropped.coefficients, kept.coefficients, rtol=1e-8)


def test_more_features_than_events_need_the_penalty() -> None:
    wide = np.random.default_rng(0).normal(size=(len(X), 200))
    fit = cox_ridge(coarse(entry=True), wide, 20.0)
    assert np.isfinite(fit.coefficients).all()
    assert fit.log_likelihood > fit.null
    with pytest.raises(DataError, match="Cox regression has no"):
        cox_ridge(coarse(), wide)


def test_one_penalty_a_feature() -> None:
    held = cox_ridge(coarse(), X, np.array([0.0, 1e9, 1e9]))
    alone = cox_ridge(coarse(), X[:, :1])
    assert held.coefficients[0] == pytest.approx(alone.coefficients[0], rel=1e-5)
    np.testing.assert_allclose(held.coefficients[1:], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.arange(10.0, 0, -1)[:, None], "no finite fit"),
        (np.ones((10, 1)), "no single fit"),
        (np.full((10, 1), np.nan), "finite matrix"),
        (np.ones((9, 1)), "finite matrix"),
    ],
)
def test_what_cannot_be_fitted_is_refused(features: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cox_ridge(checked_times(np.arange(1, 11), np.ones(10)), features)
