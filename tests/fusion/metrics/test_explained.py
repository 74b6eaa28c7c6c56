"""Nagelkerke's R² against a fitted model's likelihoods, and where it has no meaning."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from fusion.metrics.explained import nagelkerke_r2


def test_it_is_that_of_a_fitted_logistic_regression() -> None:
    """Cox and Snell's by statsmodels, divided by its largest value."""
    rng = np.random.default_rng(0)
    x = sm.add_constant(rng.normal(size=(300, 2)))
    y = (rng.random(300) < 1 / (1 + np.exp(1 - x[:, 1]))).astype(float)
    fitted = sm.Logit(y, x).fit(disp=False)
    cox_snell = 1 - np.exp(2 / 300 * (fitted.llnull - fitted.llf))
    expected = cox_snell / (1 - np.exp(2 / 300 * fitted.llnull))
    assert nagelkerke_r2(y, fitted.predict(x)) == pytest.approx(expected)


def test_its_ends() -> None:
    y = np.array([0.0, 1.0, 1.0, 0.0])
    assert nagelkerke_r2(y, y) == pytest.approx(1.0)
    assert nagelkerke_r2(y, np.full(4, 0.5)) == pytest.approx(0.0)
    assert nagelkerke_r2(y, 1 - 0.9 * y) < 0
    assert np.isnan(nagelkerke_r2(np.ones(4), np.full(4, 0.5)))
