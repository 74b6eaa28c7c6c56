"""Log-rank tests against R."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2
from survival_example import COHORT, R, coarse, fine

from featurestore.errors import DataError
from fusion.metrics.survival.group_tests import log_rank
from fusion.metrics.survival.times import checked_times


def test_equals_survdiff_with_ties() -> None:
    found = log_rank(coarse(), COHORT["group"])
    np.testing.assert_allclose(found.observed, R["log_rank.observed"])
    np.testing.assert_allclose(found.expected, R["log_rank.expected"], rtol=1e-10)
    assert found.chi2 == pytest.approx(R["log_rank.chi2"][0], rel=1e-10)
    assert found.df == 2
    assert found.p == pytest.approx(chi2.sf(found.chi2, 2))


def test_with_delayed_entry_it_is_the_score_test_of_coxph() -> None:
    found = log_rank(fine(entry=True), COHORT["group"].astype(str))
    assert found.chi2 == pytest.approx(R["log_rank_entry.chi2"][0], rel=1e-10)


def test_groups_that_never_meet_have_no_test() -> None:
    apart = checked_times([1, 2, 4, 5], [1, 1, 1, 1], [0, 0, 3, 3])
    assert np.isnan(log_rank(apart, np.array(["a", "a", "b", "b"])).p)


def test_one_group_is_refused() -> None:
    with pytest.raises(DataError, match="two groups"):
        log_rank(coarse(), np.zeros(len(coarse())))
