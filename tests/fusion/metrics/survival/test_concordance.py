"""Concordance against R, scikit-survival, pec, and pairs counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survival_example import COHORT, HORIZON, R, coarse, fine

from featurestore.errors import DataError
from fusion.metrics.survival.censoring import (
    Censoring,
    by_part,
    censoring_distribution,
    last_supported_time,
    out_of_fold,
)
from fusion.metrics.survival.concordance import harrell_c, uno_c
from fusion.metrics.survival.simulation import Design, simulate
from fusion.metrics.survival.times import Times, checked_times

SCORE = COHORT["score"]
# concordance_index_ipcw(y, y, score, tau=4) on fine times, and with odd rows as training and even
# rows as evaluated ones; concordance_index_censored(own, time, score): scikit-survival 0.28.0.
SKSURV = {"uno": 0.6565897126962368, "uno_split": 0.7117269481294853, "harrell": 0.6546465222348917}


def own(entry: bool = False) -> Times:
    return coarse(entry).cause_specific()


def test_harrell_equals_r_with_ties_entry_strata_and_weights() -> None:
    for name, found in {
        "harrell": harrell_c(own(), SCORE),
        "harrell_entry": harrell_c(own(entry=True), SCORE),
        "harrell_strata": harrell_c(own(entry=True), SCORE, strata=COHORT["group"]),
        "harrell_weighted": harrell_c(own(entry=True), SCORE, COHORT["weight"][None]),
        "wolbers": harrell_c(coarse(), SCORE),
    }.items():
        np.testing.assert_allclose(found, R[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(harrell_c(own(), SCORE), [SKSURV["harrell"]], rtol=1e-12)


def test_uno_equals_r_with_ties() -> None:
    for name, times in {"uno": own(), "uno_fine": fine().cause_specific()}.items():
        found = uno_c(times, SCORE, censoring_distribution(times), tau=HORIZON)
        np.testing.assert_allclose(found, R[name], rtol=1e-12, err_msg=name)


def test_uno_equals_scikit_survival_also_with_a_training_part() -> None:
    times, odd = fine().cause_specific(), np.arange(len(SCORE)) % 2 == 1
    found = uno_c(times, SCORE, censoring_distribution(times), tau=HORIZON)
    np.testing.assert_allclose(found, [SKSURV["uno"]], rtol=1e-12)
    training = censoring_distribution(times.take(odd))
    found = uno_c(times.take(~odd), SCORE[~odd], training, tau=HORIZON)
    np.testing.assert_allclose(found, [SKSURV["uno_split"]], rtol=1e-12)


def test_uno_with_competing_events_equals_pec() -> None:
    times = fine()
    found = uno_c(times, SCORE, censoring_distribution(times), tau=HORIZON)
    np.testing.assert_allclose(found, R["uno_competing_fine"], rtol=1e-10)


def counted(
    times: Times, score: np.ndarray, censoring: Censoring | None, tau: float, w: np.ndarray
) -> float:
    """The definition, pair by pair."""
    won = pairs = 0.0
    t, e = times.time, times.event

    def inverse(row: int, until: float) -> float:
        if censoring is None:
            return 1.0
        every = np.full(len(t), until)
        return float(1 / censoring.chance(times.after, every)[row, 0])

    for i in range(len(t)):
        for j in range(len(t)):
            if e[i] != 1 or t[i] > tau:
                continue
            later = t[j] > t[i] or (t[j] == t[i] and e[j] != 1)
            gone = e[j] > 1 and t[j] < t[i]
            if gone or (later and times.after[j] < t[i]):
                weight = w[i] * w[j] * inverse(i, t[i]) * inverse(j, min(t[i], t[j]))
                won += weight * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
                pairs += weight
    return won / pairs if pairs else float("nan")


ROW = st.tuples(
    st.integers(0, 6), st.integers(0, 2), st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)
).map(lambda row: (*row[:2], max(0, min(row[2], row[0] - 1)), *row[3:]))


@settings(max_examples=40)
@given(rows=st.lists(ROW, min_size=12, max_size=18))
def test_by_counting_pairs(rows: list[tuple[int, ...]]) -> None:
    time, event, entry, score, weight = np.array(rows, dtype=float).T
    times = checked_times(time, event, entry, codes=(0, 1, 2))
    draws = np.stack([np.ones(len(times)), weight])
    expected = [counted(times, score, None, np.inf, w) for w in draws]
    np.testing.assert_allclose(harrell_c(times, score, draws), expected)
    part = np.arange(len(times)) % 2
    parts = [censoring_distribution(times.take(part != k)) for k in (0, 1)]
    censoring = by_part(parts, part)
    found = uno_c(times, score, censoring, draws)
    alone = [uno_c(times, score, out_of_fold(times, part, w[None]), w[None])[0] for w in draws]
    np.testing.assert_allclose(uno_c(times, score, out_of_fold(times, part, draws), draws), alone)
    if np.isnan(found).all():
        return
    tau = last_supported_time(times, censoring)
    expected = [counted(times, score, censoring, tau, w) for w in draws]
    np.testing.assert_allclose(found, expected)


def test_tau_beyond_support_is_nan_and_none_means_support() -> None:
    times = own()
    censoring = censoring_distribution(times)
    assert np.isnan(uno_c(times, SCORE, censoring, np.ones((3, len(times))), tau=13.0)).all()
    assert np.isfinite(uno_c(times, SCORE, censoring)).all()


def test_no_comparable_pair_is_nan_and_a_constant_score_one_half() -> None:
    nobody = checked_times([1, 2], [0, 0])
    assert np.isnan(harrell_c(nobody, np.zeros(2)))[0]
    assert harrell_c(own(), np.zeros(len(own())))[0] == 0.5
    draws = np.stack([np.zeros(len(own())), np.ones(len(own()))])
    np.testing.assert_array_equal(np.isnan(harrell_c(own(), SCORE, draws)), [True, False])


def test_many_blocks_of_pairs_are_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = harrell_c(coarse(entry=True), SCORE)
    monkeypatch.setattr("fusion.metrics.survival.concordance.BLOCK_CELLS", 700)
    np.testing.assert_allclose(harrell_c(coarse(entry=True), SCORE), whole, rtol=1e-13)


@pytest.mark.parametrize("competing", [0.0, 0.6])
def test_weights_undo_censoring_also_with_delayed_entry(competing: float) -> None:
    """Half of the rows are censored; Uno's C is where it would be without, Harrell's is not."""
    found = []
    for seed in range(4):
        design = Design(effect=1.0, competing=competing, censoring=0.3, late=0.5)
        cohort = simulate(design, 2000, seed)
        # A score that is right early and random later: what censoring hides is what it gets wrong.
        rng = np.random.default_rng(seed)
        early = cohort.uncensored.time < 2
        score = np.where(early, cohort.log_hazard_ratio, rng.normal(size=2000))
        nobody = censoring_distribution(cohort.uncensored)
        truth = uno_c(cohort.uncensored, score, nobody, tau=5.0)[0]
        censoring = censoring_distribution(cohort.times)
        uno = uno_c(cohort.times, score, censoring, tau=5.0)[0]
        found.append([uno - truth, harrell_c(cohort.times, score)[0] - truth])
    uno_bias, harrell_bias = np.mean(found, axis=0)
    assert abs(uno_bias) < 0.015
    assert abs(harrell_bias) > 2 * abs(uno_bias)


@pytest.mark.parametrize(
    ("score", "weights", "message"),
    [
        ([0.0, 1.0], None, "stands beside 3 times"),
        ([0.0, 1.0, np.nan], None, "1 of 3 are not"),
        ([0.0, 1.0, 2.0], [[1, 1, -1]], "non-negative"),
        ([0.0, 1.0, 2.0], [1, 1, 1], "shape"),
    ],
)
def test_bad_input_is_refused(
    score: list[float], weights: list[list[float]] | None, message: str
) -> None:
    times = checked_times([1, 2, 3], [1, 1, 0])
    with pytest.raises(DataError, match=message):
        harrell_c(times, np.array(score), None if weights is None else np.array(weights))
