"""Cox's partial likelihood against R, statsmodels, numerical derivatives and its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg
from survival_example import COHORT, R, coarse

from featurestore.errors import DataError
from fusion.metrics.survival.partial_likelihood import PartialLikelihood
from fusion.metrics.survival.times import Times, checked_times

SCORE = COHORT["score"]


def test_value_equals_coxph_with_ties_entry_and_weights() -> None:
    times = coarse(entry=True)
    assert PartialLikelihood(times).at(SCORE).value == pytest.approx(R["cox.loglik"][0], rel=1e-10)
    weighted = PartialLikelihood(times, COHORT["weight"] + 1).at(SCORE).value
    assert weighted == pytest.approx(R["cox.loglik_weighted"][0], rel=1e-10)


def test_value_equals_statsmodels() -> None:
    times = coarse()
    model = PHReg(times.time, SCORE[:, None], status=times.event == 1, ties="efron")
    found = PartialLikelihood(times).at(1.3 * SCORE).value
    assert found == pytest.approx(model.loglike(np.array([1.3])), rel=1e-10)


def written_out(times: Times, eta: np.ndarray, weights: np.ndarray) -> float:
    """The definition, event by event."""
    value, hazard = 0.0, weights * np.exp(eta)
    events = (times.event == 1) & (weights > 0)
    for t in np.unique(times.time[events]):
        tied = np.flatnonzero(events & (times.time == t))
        at_risk = (times.after < t) & (times.time >= t)
        value += weights[tied] @ eta[tied]
        for number in range(len(tied)):
            rest = hazard[at_risk].sum() - number / len(tied) * hazard[tied].sum()
            value -= weights[tied].mean() * np.log(rest)
    return float(value)


ROW = st.tuples(
    st.integers(0, 6), st.integers(0, 2), st.integers(0, 5), st.floats(-3, 3), st.integers(0, 3)
).map(lambda row: (*row[:2], max(0, min(row[2], row[0] - 1)), *row[3:]))


@settings(max_examples=60)
@given(
    rows=st.lists(ROW, min_size=2, max_size=14).filter(lambda r: any(x[1] == 1 and x[4] for x in r))
)
def test_by_definition_and_numerical_derivatives(rows: list[tuple[float, ...]]) -> None:
    time, event, entry, eta, weights = np.array(rows, dtype=float).T
    times = checked_times(time, event, entry, codes=(0, 1, 2))
    found = PartialLikelihood(times, weights).at(eta)
    assert found.value == pytest.approx(written_out(times, eta, weights), rel=1e-9, abs=1e-9)
    step, wide = 1e-4, 1e-3  # second differences of a short step are rounding
    for row in range(len(eta)):
        nudge = step * (np.arange(len(eta)) == row)
        up, down = (written_out(times, eta + sign * nudge, weights) for sign in (1, -1))
        assert found.gradient[row] == pytest.approx((up - down) / 2 / step, abs=1e-6)
        up, down = (written_out(times, eta + 10 * sign * nudge, weights) for sign in (1, -1))
        second = (up - 2 * found.value + down) / wide**2
        assert found.curvature[row] == pytest.approx(-second, abs=1e-5)


def test_gradient_sums_to_zero_and_a_shift_changes_nothing() -> None:
    likelihood = PartialLikelihood(coarse(entry=True))
    found, shifted = likelihood.at(SCORE), likelihood.at(SCORE + 600)
    assert found.gradient.sum() == pytest.approx(0, abs=1e-10)
    assert shifted.value == pytest.approx(found.value)
    np.testing.assert_allclose(shifted.curvature, found.curvature)


def test_extreme_predictors_stay_finite() -> None:
    found = PartialLikelihood(coarse(entry=True)).at(SCORE * 400)
    assert np.isfinite(found.value)
    assert np.isfinite(found.gradient).all()
    assert (found.curvature >= 0).all()


def test_no_event_is_refused() -> None:
    with pytest.raises(DataError, match="all 2 rows are censored"):
        PartialLikelihood(checked_times([1, 2], [0, 0]))
    with pytest.raises(DataError, match="no weight"):
        PartialLikelihood(checked_times([1, 2], [1, 0]), np.array([0.0, 1.0]))
    with pytest.raises(DataError, match="weights"):
        PartialLikelihood(checked_times([1, 2], [1, 0]), np.array([1.0]))
