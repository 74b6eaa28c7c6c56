"""The test of proportional hazards against R's cox.zph."""

from __future__ import annotations

import numpy as np
from survival_example import COHORT, R, coarse

from fusion.metrics.survival.cox import cox_ridge
from fusion.metrics.survival.grambsch_therneau import proportional_hazards
from fusion.metrics.survival.times import checked_times

X = np.stack([COHORT[name] for name in ("x1", "x2", "x3")], axis=1)


def test_equals_cox_zph() -> None:
    times = coarse(entry=True)
    found = proportional_hazards(times, X, cox_ridge(times, X))
    np.testing.assert_allclose([*found.chi2, found.global_chi2], R["zph.chi2"], rtol=1e-6)
    assert (np.diff(found.p[np.argsort(found.chi2)]) < 0).all()


def test_a_hazard_ratio_that_turns_is_found() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 600)
    time = np.where(x == 1, rng.weibull(3.0, 600), rng.weibull(0.7, 600))
    times = checked_times(time, np.ones(600))
    fit = cox_ridge(times, x[:, None].astype(float))
    assert proportional_hazards(times, x[:, None], fit).global_p < 1e-6
