"""AUC at horizons against riskRegression, scikit-survival and plain AUROC."""

from __future__ import annotations

import numpy as np
import pytest
from survival_example import COHORT, R, coarse, fine

from featurestore.errors import DataError
from fusion.metrics.classification import auroc
from fusion.metrics.survival.censoring import censoring_distribution, out_of_fold, state_at
from fusion.metrics.survival.dynamic_auc import auc_over_time, dynamic_auc, integrated_auc
from fusion.metrics.survival.simulation import Design, simulate
from fusion.metrics.survival.times import checked_times

SCORE = COHORT["score"]
GRID = np.array([1.0, 2.0, 3.0, 4.0])
# cumulative_dynamic_auc(a, a, score, [1, 2, 3, 4]) of events of any kind on fine times, and with
# odd rows as training and even rows as evaluated ones: scikit-survival 0.28.0.
SKSURV = [0.6940676543772213, 0.5851718005626741, 0.6536907833979658, 0.660049520498766]
SKSURV_MEAN = 0.637639951167088
SPLIT = [0.779320055290849, 0.6374805637855707, 0.7246303466794635, 0.6990793933395544]
SPLIT_MEAN = 0.7037148237890147


def test_equals_risk_regression_also_with_competing_events() -> None:
    for name, times in {"score": fine().any_event(), "score_competing": fine()}.items():
        censoring = censoring_distribution(times)
        found = auc_over_time(times, COHORT["risk"], GRID[1:], censoring)[0]
        np.testing.assert_allclose(found, R[f"{name}.auc"], rtol=1e-10, err_msg=name)


def test_equals_scikit_survival_also_with_a_training_part() -> None:
    times, odd = fine().any_event(), np.arange(len(SCORE)) % 2 == 1
    whole = censoring_distribution(times)
    np.testing.assert_allclose(auc_over_time(times, SCORE, GRID, whole), [SKSURV], rtol=1e-10)
    np.testing.assert_allclose(integrated_auc(times, SCORE, GRID, whole), SKSURV_MEAN, rtol=1e-10)
    training = censoring_distribution(times.take(odd))
    rest, score = times.take(~odd), SCORE[~odd]
    np.testing.assert_allclose(auc_over_time(rest, score, GRID, training), [SPLIT], rtol=1e-10)
    np.testing.assert_allclose(integrated_auc(rest, score, GRID, training), SPLIT_MEAN, rtol=1e-10)


def test_without_censoring_it_is_the_plain_auroc() -> None:
    """Also with late entry: of those who came under observation before the horizon."""
    all_seen = coarse(entry=True).take(coarse().event > 0)
    score = SCORE[coarse().event > 0]
    entered = all_seen.entry < 2
    expected = auroc(((all_seen.time <= 2) & (all_seen.event == 1))[entered], score[entered])
    found = dynamic_auc(all_seen, score, 2.0, censoring_distribution(all_seen))
    np.testing.assert_allclose(found, expected)


def test_draws_are_repeated_rows_under_the_weights_of_training() -> None:
    times = coarse(entry=True)
    censoring, rng = censoring_distribution(times), np.random.default_rng(0)
    weights = rng.multinomial(len(times), np.full(len(times), 1 / len(times)), size=5)
    for line, value in zip(
        weights, dynamic_auc(times, SCORE, 3.0, censoring, weights), strict=True
    ):
        rows = np.repeat(np.arange(len(times)), line)
        expected = dynamic_auc(times.take(rows), SCORE[rows], 3.0, censoring)[0]
        assert value == pytest.approx(expected)


def test_a_score_for_each_time() -> None:
    times = fine()
    censoring = censoring_distribution(times)
    both = np.stack([SCORE, -SCORE], axis=1)
    found = auc_over_time(times, both, GRID[2:], censoring)[0]
    assert found[0] == pytest.approx(dynamic_auc(times, SCORE, 3.0, censoring)[0])
    assert found[1] == pytest.approx(1 - dynamic_auc(times, SCORE, 4.0, censoring)[0])


def test_undefined_is_nan() -> None:
    times = fine()
    censoring = censoring_distribution(times)
    assert np.isnan(dynamic_auc(times, SCORE, 0.01, censoring))[0]  # no case yet
    assert np.isnan(dynamic_auc(times, SCORE, 9.0, censoring))[0]  # nine rows left
    none = np.zeros((1, len(times)))
    assert np.isnan(dynamic_auc(times, SCORE, 3.0, censoring, none))[0]


def test_a_grid_must_ascend() -> None:
    times = checked_times([1, 2], [1, 0])
    with pytest.raises(DataError, match="ascend"):
        integrated_auc(times, np.zeros(2), np.array([2.0, 1.0]), censoring_distribution(times))


def test_within_strata_only_their_pairs_count() -> None:
    """Every pair of a case and a control of one stratum, written out."""
    cohort = simulate(Design(censoring=0.15, competing=0.3), 90, 3)
    times, score = cohort.times, np.round(cohort.log_hazard_ratio, 1)
    strata = np.random.default_rng(0).integers(3, size=90)
    censoring = out_of_fold(times, strata)
    state = state_at(times, 3.0, censoring)
    won = compared = 0.0
    for i in np.flatnonzero(state.case):
        for j in np.flatnonzero(state.control & (strata == strata[i])):
            pair = state.weight[i, 0] * state.weight[j, 0]
            compared += pair
            won += pair * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
    found = dynamic_auc(times, score, 3.0, censoring, strata=strata)[0]
    assert found == pytest.approx(won / compared, rel=1e-12)
    assert dynamic_auc(times, strata.astype(float), 3.0, censoring, strata=strata)[0] == 0.5
