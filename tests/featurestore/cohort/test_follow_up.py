"""Follow-up against a hand calculation and R."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from times_example import times_cohort

from featurestore.cohort.describe import describe, to_csv, to_json
from featurestore.cohort.follow_up import follow_up, reverse_median


def test_numbers_at_risk_by_hand(tmp_path: Path) -> None:
    told = follow_up(times_cohort(tmp_path))
    assert told is not None
    assert told.at_risk.to_dict("records") == [
        {"days": 0.0, "at_risk": 6, "events": 0, "competing": 0, "censored": 0},
        {"days": 365.25, "at_risk": 6, "events": 1, "competing": 0, "censored": 0},
        {"days": 730.5, "at_risk": 5, "events": 2, "competing": 0, "censored": 0},
    ]
    # Censored at 1000, 2000, 2500; at risk 4, 2, 1: the survival of being followed is 3/4, 3/8, 0.
    assert told.median == 2000
    assert told.longest == 2500
    assert told.late == 1
    assert "median follow-up 5.5 years (reverse Kaplan-Meier), longest time 6.8" in told.sentence


def test_the_median_is_that_of_r() -> None:
    # R 4.5: quantile(survfit(Surv(time, code == 0) ~ 1), 0.5, conf.int = FALSE)
    time = np.array([5.0, 8, 8, 12, 15, 20, 20, 31, 40, 44])
    code = np.array([1.0, 0, 1, 0, 2, 0, 1, 0, 0, 1])
    assert reverse_median(code, time) == 31


def test_a_median_that_is_not_reached_is_none() -> None:
    assert reverse_median(np.ones(4), np.arange(1.0, 5)) is None
    assert reverse_median(np.array([0.0, 1, 1, 1]), np.arange(1.0, 5)) is None


def test_a_description_has_the_follow_up(tmp_path: Path) -> None:
    description = describe(times_cohort(tmp_path))
    assert '"median": 2000.0' in to_json([description])
    assert "follow-up,365.25 days,at_risk,6" in to_csv([description])
