"""Where maxima of weighted logistic likelihoods are looked for first."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from fusion.metrics._expansion import FARTHEST, ORDER, expanded_start
from fusion.metrics._logistic import fit_intercept, fit_slope, solve
from fusion.metrics.logits import logit

RNG = np.random.default_rng(0)
N = 400
X = RNG.normal(size=N)
Y = (RNG.random(N) < expit(0.7 * X - 1)).astype(float)


def reference(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients by iteratively reweighted least squares of statsmodels; (k, draws)."""
    fits = [
        sm.GLM(Y, features.T, family=sm.families.Binomial(), freq_weights=w).fit(tol=1e-14)
        for w in weights
    ]
    return np.column_stack([fit.params for fit in fits])


@pytest.mark.parametrize("k", [1, 2])
def test_the_error_falls_with_the_order_of_the_expansion(k: int) -> None:
    features = np.stack([np.ones(N), X])[:k]
    centre = reference(features, np.ones((1, N)))
    tilt = Y + X * Y  # moves both coefficients
    sizes = np.array([0.24, 0.12, 0.06])
    weights = np.array([np.exp(size * tilt) for size in sizes])
    p = expit(centre[:, 0] @ features)
    found = centre + expanded_start(Y, features, p, weights.T, solve)
    errors = np.abs(found - reference(features, weights)).max(axis=0)
    moved = np.abs(reference(features, weights) - centre).max(axis=0)
    assert (errors < moved ** (ORDER + 1) + 1e-12).all()
    assert errors[0] / max(errors[1], 1e-15) > 2**ORDER
    assert errors[2] < 1e-6


def test_a_far_maximum_begins_at_the_centre() -> None:
    features = np.ones((1, N))
    weights = np.where(Y == 1, 1e4, 1.0)[None, :]
    start = expanded_start(Y, features, np.full(N, Y.mean()), weights.T, solve)
    assert start.tolist() == [[0.0]]
    assert fit_intercept(Y, np.zeros(N), weights)[0] > FARTHEST


def test_fits_of_draws_are_those_of_another_library() -> None:
    weights = RNG.multinomial(N, np.full(N, 1 / N), size=20).astype(float)
    both = np.stack([np.ones(N), X])
    np.testing.assert_allclose(fit_slope(Y, X, weights), reference(both, weights)[1], rtol=1e-9)
    np.testing.assert_allclose(
        fit_intercept(Y, np.zeros(N), weights), reference(both[:1], weights)[0], rtol=1e-9
    )


def test_classes_that_overlap_by_rounding_have_no_slope() -> None:
    """Their likelihood rises until the arithmetic ends, wherever the order of sums lets it."""
    y = np.array([0.0, 1.0, 0.0, 0.0])
    x = np.array([4.6, np.nextafter(4.6, 0), -1.6, -1.6])
    assert np.isnan(fit_slope(y, x, np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]))).all()
    apart = np.array([4.6, 4.5, -1.6, -1.6])
    assert np.isfinite(fit_slope(y, apart, np.ones((1, 4)))).all()


def test_a_draw_that_the_expansion_leads_astray_is_fitted() -> None:
    y = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    x = logit(np.array([0.7, 0.3001, 0.31, 0.3, 0.6, 0.999, 0.3001]))
    weights = np.array([2.0, 0.0, 3.0, 2.0, 0.0, 1.0, 2.0])
    fit = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial(), freq_weights=weights).fit(
        tol=1e-14
    )
    assert fit_slope(y, x, weights[None, :]) == pytest.approx(fit.params[1], rel=1e-9)
