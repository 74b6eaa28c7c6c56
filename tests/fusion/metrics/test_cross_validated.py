"""Intervals that know that models were trained: by arithmetic, by theory, and by their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from scipy.stats import norm

from fusion import metrics
from fusion.metrics.bootstrap import Estimate, draw_weights, interval, percentile_interval
from fusion.metrics.cross_validated import (
    cross_validated_interval,
    moved,
    paired_difference,
    spread,
)

FOLDS = 5
MANY = 10**9
"""Units at which Student's t is normal."""


def _draws(rng: np.random.Generator, repeats: int, between: float) -> np.ndarray:
    """Draws around zero: a part that repeats share, with variance 1, and one of their own."""
    return rng.normal(size=4000) + np.sqrt(between) * rng.normal(size=(repeats, 4000))


def test_variance_by_hand() -> None:
    """Of W = 0.02 between three repeats of five folds, 0.02 · (5 - 1 + 1/3) is added."""
    found = spread(np.zeros(3), _draws(np.random.default_rng(0), 3, 0.02), FOLDS, MANY)
    assert found.method == "repeats"
    assert found.sampling == pytest.approx(1 + 0.02 / 3, rel=0.05)
    assert found.training == pytest.approx(0.02 * (4 + 1 / 3), rel=0.05)
    assert found.error == pytest.approx(np.sqrt(found.sampling + found.training))
    assert found.stretch == pytest.approx(found.error / np.sqrt(found.sampling))


def test_training_adds_nothing_without_folds_and_a_bounded_part_with_them() -> None:
    draws = _draws(np.random.default_rng(0), 3, 0.0)
    assert spread(np.zeros(3), draws, FOLDS, MANY).training == pytest.approx(0, abs=1e-12)
    wild = np.random.default_rng(1).normal(size=(3, 500))
    assert spread(np.zeros(3), wild, FOLDS, MANY).stretch == pytest.approx(np.sqrt(2.25))
    assert spread(np.zeros(1), wild[:1], FOLDS, MANY).stretch == pytest.approx(np.sqrt(2))
    assert spread(np.zeros(1), wild[:1], FOLDS, MANY).method == "bound"
    assert spread(np.zeros(3), wild, 1, MANY).stretch == 1
    assert spread(np.zeros(3), wild, 1, MANY).method == "percentile"


def test_repeats_of_other_levels_are_no_variance() -> None:
    """What differs between repeats on the data themselves is no scatter over patients."""
    draws = _draws(np.random.default_rng(0), 3, 0.02)
    shift = np.array([0.0, 5.0, -3.0])
    moved = spread(shift, draws + shift[:, None], FOLDS, MANY)
    assert moved.training == pytest.approx(spread(np.zeros(3), draws, FOLDS, MANY).training)


def test_undefined_draws_are_left_out_and_too_many_give_nothing() -> None:
    draws = _draws(np.random.default_rng(0), 2, 0.1)
    holes = draws.copy()
    holes[0, :400] = np.nan
    assert spread(np.zeros(2), holes, FOLDS, MANY) == spread(
        np.zeros(2), draws[:, 400:], FOLDS, MANY
    )
    holes[:, :1000] = np.nan
    assert np.isnan(spread(np.zeros(2), holes, FOLDS, MANY).error)
    found = cross_validated_interval(np.zeros(2), holes, FOLDS, MANY)
    assert found.value == 0
    assert np.isnan([found.low, found.high]).all()
    test = paired_difference(np.zeros(2), holes, FOLDS, MANY)
    assert np.isnan([test.estimate.low, test.estimate.high, test.p]).all()
    assert np.isnan(paired_difference(np.array([np.nan, 0.1]), draws, FOLDS, MANY).p)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_degenerate_statistic_has_the_variance_that_theory_gives(repeats: int) -> None:
    """Cross-validation in the open: patient i is scored by the sum of z_i · z_j over training j.

    At an AUROC of one half any linear learner is of this form. Every pair of two folds counts
    twice, so with q the chance that a pair is in two folds the variance of the mean over patients
    is 2 p (n - 1) (q² + q (1 - q) / R) / n, and twice what a bootstrap of the patients sees.
    """
    rng = np.random.default_rng(repeats)
    n, p, studies = 100, 8, 400
    values, errors, plain = [], [], []
    for _ in range(studies):
        z = rng.normal(size=(n, p))
        kernel = z @ z.T
        np.fill_diagonal(kernel, 0)
        terms = []
        for _ in range(repeats):
            fold = rng.permutation(np.arange(n) % FOLDS)
            terms.append((kernel * (fold[:, None] != fold[None, :])).sum(axis=1))
        psi = np.array(terms)
        weights = rng.multinomial(n, np.full(n, 1 / n), 100) / n
        found = spread(psi.mean(axis=1), psi @ weights.T, FOLDS, MANY)
        values.append(psi.mean())
        errors.append(found.error**2)
        plain.append(found.sampling)
    q = (n - n / FOLDS) / (n - 1)
    theory = 2 * p * (n - 1) / n * (q**2 + q * (1 - q) / repeats)
    assert np.var(values) == pytest.approx(theory, rel=0.25)  # a variance of 400 varies by 7 %
    # W is noisy in so small a study, and what exceeds the bound by a quarter is cut off.
    assert 0.85 * theory < np.mean(errors) < 1.1 * theory
    assert np.mean(plain) == pytest.approx(theory / 2, rel=0.1)


def test_without_training_it_is_the_percentile_interval() -> None:
    draws = expit(np.random.default_rng(0).normal(size=(1, 999)))
    for bounded in (False, True):
        found = cross_validated_interval(np.array([0.5]), draws, 1, MANY, 20, bounded)
        expected = interval(0.5, draws[0], 20)
        assert (found.low, found.high) == (expected.low, expected.high)
        assert found.method == "percentile"


def test_a_bounded_metric_is_stretched_on_log_odds() -> None:
    draws = expit(2.5 + 0.4 * np.random.default_rng(0).normal(size=(1, 1999)))
    value = np.array([0.93])
    plain = percentile_interval(0.93, draws[0])
    open_ended = cross_validated_interval(value, draws, FOLDS, MANY)
    assert open_ended.low == pytest.approx(0.93 + np.sqrt(2) * (plain.low - 0.93))
    found = cross_validated_interval(value, draws, FOLDS, MANY, bounded=True)
    assert logit(found.high) == pytest.approx(
        logit(0.93) + np.sqrt(2) * (logit(plain.high) - logit(0.93))
    )
    assert found.method == "bound"
    assert open_ended.high > found.high > plain.high


@given(arrays(float, (2, 40), elements=st.floats(0, 1)))
def test_bounded_intervals_stay_between_0_and_1_and_hold_what_was_drawn(draws: np.ndarray) -> None:
    value = draws.mean(axis=1)
    found = cross_validated_interval(value, draws, FOLDS, MANY, 20, True)
    if not np.isnan(found.low):
        assert 0 <= found.low <= found.high <= 1
        plain = interval(found.value, draws.mean(axis=0), 20)
        assert found.low <= plain.low + 1e-12 or plain.low > found.value
        assert found.high >= plain.high - 1e-12 or plain.high < found.value


def test_a_perfect_share_keeps_its_exact_interval() -> None:
    found = cross_validated_interval(np.ones(3), np.ones((3, 100)), FOLDS, MANY, 40, True)
    assert found == Estimate(1.0, 0.025 ** (1 / 40), 1.0, "exact")
    ranks_nobody = cross_validated_interval(
        np.full(3, 0.5), np.full((3, 100), 0.5), FOLDS, MANY, 9, True
    )
    assert (ranks_nobody.low, ranks_nobody.high) == (0.5, 0.5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_at_its_limit_whose_draws_vary_is_stretched_and_cut_off(value: float) -> None:
    """It has no log odds: their difference to those of an end would be infinity less infinity."""
    inside = np.abs(value - np.linspace(0, 0.1, 401))[None, :]
    plain = percentile_interval(value, inside[0])
    with np.errstate(all="raise"):
        found = cross_validated_interval(np.array([value]), inside, FOLDS, MANY, None, True)
    assert found.method == "bound"
    ends = sorted(np.sqrt(2) * np.abs(value - np.array([plain.low, plain.high])))
    assert sorted(np.abs(value - np.array([found.low, found.high]))) == pytest.approx(ends)
    both = np.concatenate([inside, inside * 0 + 0.5], axis=1)
    wide = cross_validated_interval(np.array([value]), both, FOLDS, MANY, None, True)
    assert 0 <= wide.low < wide.high <= 1


def test_an_end_at_its_limit_stays_there_without_a_warning() -> None:
    draws = np.linspace(0.7, 1.3, 401).clip(max=1)[None, :]
    with np.errstate(invalid="raise"):
        found = cross_validated_interval(np.array([0.9]), draws, FOLDS, MANY, 30, True)
    assert found.high == 1
    assert 0 < found.low < percentile_interval(0.9, draws[0]).low


def test_every_interval_says_which_it_is() -> None:
    draws = np.random.default_rng(0).uniform(0.4, 0.6, (2, 99))
    assert percentile_interval(0.5, draws[0]).method == "percentile"
    assert cross_validated_interval(draws.mean(axis=1), draws, FOLDS, MANY).method == "repeats"
    assert cross_validated_interval(draws[:1].mean(axis=1), draws[:1], 1, MANY).method == (
        "percentile"
    )


def test_an_interval_moves_on_log_odds_and_never_leaves_its_value() -> None:
    pooled = Estimate(0.8, 0.7, 0.88, "repeats")
    found = moved(pooled, 0.85, 40)
    for end, before in ((found.low, 0.7), (found.high, 0.88)):
        assert logit(end) - logit(0.85) == pytest.approx(logit(before) - logit(0.8))
    perfect_in_folds = moved(Estimate(0.99, 0.95, 0.998, "repeats"), 1.0, 40)
    assert perfect_in_folds == Estimate(1.0, 0.025 ** (1 / 40), 1.0, "exact")
    assert np.isnan(moved(pooled, float("nan"), 40).low)
    exact = Estimate(1.0, 0.9, 1.0, "exact")
    assert moved(exact, 0.97, 40) == Estimate(0.97, 0.9, 1.0, "exact")


def test_p_and_interval_of_a_difference_are_one() -> None:
    rng = np.random.default_rng(0)
    draws = _draws(rng, 2, 0.05)
    for value in np.linspace(-4, 4, 81):
        test = paired_difference(np.full(2, value), draws + value, FOLDS, MANY)
        assert test.estimate.excludes(0) == (test.p < 0.05)
        assert test.estimate.high - test.estimate.value == pytest.approx(
            norm.ppf(0.975) * spread(np.full(2, value), draws + value, FOLDS, MANY).error
        )


def test_differences_that_do_not_vary() -> None:
    same = paired_difference(np.zeros(2), np.zeros((2, 50)), FOLDS, MANY)
    assert (same.estimate.low, same.estimate.high, same.p) == (0, 0, 1)
    other = paired_difference(np.full(2, 0.3), np.full((2, 50), 0.3), FOLDS, MANY)
    assert np.isnan([other.estimate.low, other.estimate.high, other.p]).all()


def test_the_tail_is_that_of_many_draws() -> None:
    """p from 500 draws, beyond whose resolution of 0.004 it lies, against 40,000 counted draws."""
    rng = np.random.default_rng(5)
    y = (rng.random(150) < 0.4).astype(float)
    one, other = y * 1.1 + rng.normal(size=150), y * 0.5 + rng.normal(size=150)

    def difference(weights: np.ndarray | None) -> np.ndarray:
        return np.asarray(metrics.auroc(y, one, weights) - metrics.auroc(y, other, weights))

    draws = difference(rng.multinomial(150, np.full(150, 1 / 150), 500).astype(float))
    p = paired_difference(difference(None), draws[None, :], 1, MANY).p
    beyond = [
        np.sum(difference(rng.multinomial(150, np.full(150, 1 / 150), 4000).astype(float)) <= 0)
        for _ in range(10)
    ]
    counted = 2 * sum(beyond) / 40_000
    assert counted < 0.004
    assert sum(beyond) > 15
    assert p == pytest.approx(counted, rel=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("repeats", "distance"), [(1, 0.0), (3, 0.0), (3, 1.2)])
def test_the_interval_of_a_trained_model_covers_its_true_auroc(
    repeats: int, distance: float
) -> None:
    """Through a pipeline whose truth is exact: the difference of the classes' means as a score.

    Percentiles of pooled predictions would miss it in one of six studies without signal.
    """
    rng = np.random.default_rng(11)
    n, p, studies = 120, 12, 200
    covered = held_fixed = 0
    for study in range(studies):
        y = (np.arange(n) < n // 3).astype(float)
        x = rng.normal(size=(n, p))
        x[:, 0] += distance * y
        scores, true = np.empty((repeats, n)), []
        for repeat in range(repeats):
            fold = np.concatenate([rng.permutation(m) % FOLDS for m in (n // 3, n - n // 3)])
            for k in range(FOLDS):
                train = fold != k
                direction = x[train & (y == 1)].mean(axis=0) - x[train & (y == 0)].mean(axis=0)
                middle = x[train].mean(axis=0) @ direction
                scores[repeat, fold == k] = x[fold == k] @ direction - middle
                gap = direction[0] * distance / np.linalg.norm(direction)
                true.append(norm.cdf(gap / np.sqrt(2)))
        weights = draw_weights([str(i) for i in range(n)], 100, study)
        values = np.array([metrics.auroc(y, s)[0] for s in scores])
        draws = np.array([metrics.auroc(y, s, weights) for s in scores])
        found = cross_validated_interval(values, draws, FOLDS, n // 3, bounded=True)
        covered += found.low <= np.mean(true) <= found.high
        plain = percentile_interval(float(values.mean()), draws.mean(axis=0))
        held_fixed += plain.low <= np.mean(true) <= plain.high
    assert 0.92 <= covered / studies <= 0.985  # 95 % ± two standard errors, one above
    assert distance or held_fixed / studies < 0.9
