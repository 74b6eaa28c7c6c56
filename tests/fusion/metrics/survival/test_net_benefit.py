"""Net benefit under censoring against R's curves among the treated."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import COHORT, HORIZON, R, coarse

from featurestore.errors import DataError
from fusion.metrics.classification import net_benefit
from fusion.metrics.survival.net_benefit import decision_curve_at, net_benefit_at

RISK = COHORT["risk"]
THRESHOLDS = np.array([0.1, 0.3, 0.5])


def test_equals_r() -> None:
    found = decision_curve_at(coarse().any_event(), RISK, HORIZON, THRESHOLDS)[0]
    np.testing.assert_allclose(found, R["net_benefit"], rtol=1e-10)
    found = decision_curve_at(coarse(), RISK, HORIZON, THRESHOLDS)[0]
    np.testing.assert_allclose(found, R["net_benefit_competing"], rtol=1e-10)


def test_without_censoring_it_is_the_plain_one() -> None:
    seen = coarse().event > 0
    times, risk = coarse(entry=True).take(seen), RISK[seen]
    entered = times.entry < 2
    case = (times.time <= 2) & (times.event == 1)
    found = net_benefit_at(times, risk, 2.0, threshold=0.3)
    np.testing.assert_allclose(found, net_benefit(case[entered], risk[entered], threshold=0.3))


def test_draws_are_repeated_rows() -> None:
    times, rng = coarse(entry=True), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=4)
    found = net_benefit_at(times, RISK, 3.0, weights, threshold=0.4)
    for line, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(len(times)), line)
        expected = net_benefit_at(times.take(rows), RISK[rows], 3.0, threshold=0.4)[0]
        assert value == pytest.approx(expected)


def test_edges() -> None:
    times = coarse()
    assert net_benefit_at(times, np.zeros(len(times)), HORIZON, threshold=0.5)[0] == 0
    assert np.isnan(net_benefit_at(times, RISK, 99.0, threshold=0.5))[0]
    nobody = np.zeros((1, len(times)))
    assert np.isnan(net_benefit_at(times, RISK, HORIZON, nobody, threshold=0.5))[0]
    with pytest.raises(DataError, match="between 0 and 1"):
        net_benefit_at(times, RISK, HORIZON, threshold=1.0)
