"""Brier scores under censoring against riskRegression, scikit-survival and plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import COHORT, HORIZON, R, coarse, fine

from featurestore.errors import DataError
from fusion.metrics.classification import brier
from fusion.metrics.survival.brier import brier_at, brier_over_time, integrated_brier
from fusion.metrics.survival.censoring import censoring_distribution
from fusion.metrics.survival.simulation import Design, simulate

GRID = np.array([1.0, 2.0, 3.0, 4.0])
RISK = 1 - (1 - COHORT["risk"][:, None]) ** (GRID / HORIZON)
# brier_score(a, a, 1 - risk, [1, 2, 3, 4]) and integrated_brier_score of events of any kind on fine
# times, and with odd rows as training and even rows as evaluated ones: scikit-survival 0.28.0.
SKSURV = [0.12202908378785934, 0.27840484934461723, 0.2917602995723095, 0.2917669640363082]
SKSURV_MEAN = 0.25902105760967015
SPLIT = [0.128725016092272, 0.27145942158755054, 0.26545358425291665, 0.2752793290483622]
SPLIT_MEAN = 0.2463050594702614


def test_equals_risk_regression_also_with_competing_events() -> None:
    for name, times in {"score": fine().any_event(), "score_competing": fine()}.items():
        censoring = censoring_distribution(times)
        found = [brier_at(times, COHORT["risk"], h, censoring)[0] for h in (2, 3, 4)]
        np.testing.assert_allclose(found, R[f"{name}.brier"], rtol=1e-10, err_msg=name)


def test_equals_scikit_survival_also_with_a_training_part() -> None:
    times, odd = fine().any_event(), np.arange(len(RISK)) % 2 == 1
    whole = censoring_distribution(times)
    np.testing.assert_allclose(brier_over_time(times, RISK, GRID, whole), [SKSURV], rtol=1e-10)
    np.testing.assert_allclose(integrated_brier(times, RISK, GRID, whole), SKSURV_MEAN, rtol=1e-10)
    training = censoring_distribution(times.take(odd))
    rest, risk = times.take(~odd), RISK[~odd]
    np.testing.assert_allclose(brier_over_time(rest, risk, GRID, training), [SPLIT], rtol=1e-10)
    np.testing.assert_allclose(integrated_brier(rest, risk, GRID, training), SPLIT_MEAN, rtol=1e-10)


def test_without_censoring_it_is_the_plain_one() -> None:
    seen = coarse().event > 0
    times, risk = coarse().take(seen), COHORT["risk"][seen]
    found = brier_at(times, risk, 2.0, censoring_distribution(times))
    np.testing.assert_allclose(found, brier((times.time <= 2) & (times.event == 1), risk))


@pytest.mark.parametrize("competing", [0.0, 0.6])
def test_weights_undo_censoring_also_with_delayed_entry(competing: float) -> None:
    cohort = simulate(Design(competing=competing, censoring=0.3, late=0.5), 20_000, 0)
    risk, nobody = cohort.risk(4.0), censoring_distribution(cohort.uncensored)
    truth = brier_at(cohort.uncensored, risk, 4.0, nobody)[0]
    found = brier_at(cohort.times, risk, 4.0, censoring_distribution(cohort.times))[0]
    assert found == pytest.approx(truth, abs=0.004)
    # What it is by the truth alone: the mean variance of a coin with the true risk.
    entered = cohort.times.entry < 4
    assert truth == pytest.approx(np.mean((risk * (1 - risk))[entered]), abs=0.004)


def test_draws_are_repeated_rows_under_the_weights_of_training() -> None:
    times = coarse(entry=True)
    censoring, rng = censoring_distribution(times), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=5)
    found = brier_at(times, COHORT["risk"], 3.0, censoring, weights)
    for line, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(len(times)), line)
        expected = brier_at(times.take(rows), COHORT["risk"][rows], 3.0, censoring)[0]
        assert value == pytest.approx(expected)


def test_undefined_is_nan_and_no_risk_is_refused() -> None:
    times = fine()
    censoring = censoring_distribution(times)
    assert np.isnan(brier_at(times, COHORT["risk"], 9.0, censoring))[0]
    assert np.isnan(brier_at(times, COHORT["risk"], 3.0, censoring, np.zeros((1, len(times)))))[0]
    with pytest.raises(DataError, match="between 0 and 1"):
        brier_at(times, COHORT["score"], 3.0, censoring)
    with pytest.raises(DataError, match="two times or more"):
        integrated_brier(times, RISK[:, :1], GRID[:1], censoring)
