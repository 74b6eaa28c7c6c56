"""Metrics against independent references over ties, separation, one class and weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
import statsmodels.api as sm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from featurestore.errors import DataError
from fusion import metrics
from fusion.metrics.classification import METRICS, metrics_at
from fusion.metrics.logits import logit

Reference = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
COARSE = st.integers(1, 5).map(lambda k: k / 6)  # few values: nearly all rows are tied
FINE = st.floats(0.01, 0.99)


def _rows(two_classes: bool = True) -> st.SearchStrategy[list[tuple[bool, float, int]]]:
    row = st.tuples(st.booleans(), st.one_of(COARSE, FINE), st.integers(1, 4))
    rows = st.lists(row, min_size=2, max_size=40)
    return rows.filter(lambda r: len({x[0] for x in r}) == 2) if two_classes else rows


def _columns(rows: list[tuple[bool, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p, w = np.array(rows, dtype=float).T
    return y, p, w


REFERENCES: dict[str, Reference] = {
    "auroc": lambda y, s, w: sklearn.metrics.roc_auc_score(y, s, sample_weight=w),
    "auprc": lambda y, s, w: sklearn.metrics.average_precision_score(y, s, sample_weight=w),
    "brier": lambda y, s, w: sklearn.metrics.brier_score_loss(y, s, sample_weight=w),
    "accuracy": lambda y, d, w: sklearn.metrics.accuracy_score(y, d, sample_weight=w),
    "precision": lambda y, d, w: sklearn.metrics.precision_score(
        y, d, sample_weight=w, zero_division=np.nan
    ),
    "recall": lambda y, d, w: sklearn.metrics.recall_score(y, d, sample_weight=w),
    "specificity": lambda y, d, w: sklearn.metrics.recall_score(1 - y, 1 - d, sample_weight=w),
    "f1": lambda y, d, w: sklearn.metrics.f1_score(y, d, sample_weight=w, zero_division=np.nan),
}
DECISIONS = {"accuracy", "precision", "recall", "specificity", "f1"}


@pytest.mark.parametrize("name", REFERENCES)
@given(rows=_rows())
def test_equals_scikit_learn(name: str, rows: list[tuple[bool, float, int]]) -> None:
    y, p, w = _columns(rows)
    values = (p >= 0.5).astype(float) if name in DECISIONS else p
    function = getattr(metrics, name)
    plain = REFERENCES[name](y, values, np.ones(len(y)))
    np.testing.assert_allclose(function(y, values), [plain], atol=1e-10)
    weighted = REFERENCES[name](y, values, w)
    np.testing.assert_allclose(function(y, values, w[None]), [weighted], atol=1e-10)


@pytest.mark.parametrize("name", metrics_at(0.3))
@given(rows=_rows(), counts=st.data())
def test_weights_are_repeated_rows(
    name: str, rows: list[tuple[bool, float, int]], counts: st.DataObject
) -> None:
    """The bootstrap rests on this: a draw of counts is the metric of the drawn patients."""
    metric = metrics_at(0.3)[name]
    y, p, _ = _columns(rows)
    values = (p >= 0.5).astype(float) if metric.needs == "decision" else p
    lines = st.lists(st.integers(0, 3), min_size=len(y), max_size=len(y)).filter(any)
    w = np.array([counts.draw(lines) for _ in range(3)])
    found = metric.function(y, values, w)
    assert found.shape == (3,)
    for line, value in zip(w, found, strict=True):
        chosen = np.repeat(np.arange(len(y)), line)
        if name == "calibration_slope" and np.ptp(logit(values[chosen])) < metrics.CONSTANT:
            continue  # the rule for constant predictions looks at the study, not at one draw
        expected = metric.function(y[chosen], values[chosen])
        np.testing.assert_allclose(value, expected[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", metrics_at(0.3))
@given(rows=_rows(), seed=st.integers(0, 9))
def test_row_order_means_nothing(name: str, rows: list[tuple[bool, float, int]], seed: int) -> None:
    metric = metrics_at(0.3)[name]
    y, p, w = _columns(rows)
    values = (p >= 0.5).astype(float) if metric.needs == "decision" else p
    order = np.random.default_rng(seed).permutation(len(y))
    there = metric.function(y, values, w[None])
    back = metric.function(y[order], values[order], w[None, order])
    np.testing.assert_allclose(there, back, rtol=1e-7, atol=1e-9)


def _glm(y: np.ndarray, p: np.ndarray, w: np.ndarray, slope: bool) -> float:
    x = logit(p)
    family = sm.families.Binomial()
    if slope:
        fit = sm.GLM(y, sm.add_constant(x), family=family, freq_weights=w).fit(tol=1e-12)
        return float(fit.params[1])
    return float(
        sm.GLM(y, np.ones(len(y)), family=family, offset=x, freq_weights=w).fit().params[0]
    )


@pytest.mark.parametrize("seed", range(6))
def test_calibration_equals_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = (30, 60, 200, 200, 1000, 1000)[seed]
    x = rng.normal(-1, (0.3, 1, 2, 4, 1, 8)[seed], n)
    y = (rng.random(n) < 1 / (1 + np.exp(-(0.4 + 0.7 * x)))).astype(float)
    p = np.clip(1 / (1 + np.exp(-x)), 0, 1)
    w = rng.multinomial(n, np.full(n, 1 / n), size=4)
    np.testing.assert_allclose(
        metrics.calibration_slope(y, p, w), [_glm(y, p, line, True) for line in w], rtol=1e-6
    )
    np.testing.assert_allclose(
        metrics.calibration_intercept(y, p, w),
        [_glm(y, p, line, False) for line in w],
        rtol=1e-6,
        atol=1e-8,
    )


def test_calibration_of_the_truth_is_ideal() -> None:
    p = np.repeat([0.2, 0.5, 0.8], 10)
    y = np.concatenate([np.arange(10) < 10 * q for q in (0.2, 0.5, 0.8)]).astype(float)
    assert metrics.calibration_slope(y, p)[0] == pytest.approx(1)
    assert metrics.calibration_intercept(y, p)[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),  # separated
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]),  # separated the other way round
        ([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9]),  # separated but for a tie
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]),  # constant
        ([0, 1, 0, 1], [0.300, 0.301, 0.301, 0.300]),  # constant but for the fold
        ([1, 1, 1], [0.1, 0.5, 0.9]),  # one class
    ],
)
def test_calibration_slope_without_a_finite_estimate_is_nan(y: list[int], p: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metrics.calibration_slope(np.array(y), np.array(p))).all()


@given(rows=_rows())
@example(rows=[(False, 1.0, 3), (True, 0.0, 3), (True, 1.0, 2), (True, 1.0, 1), (True, 1.0, 4)])
def test_calibration_ends_and_never_warns(rows: list[tuple[bool, float, int]]) -> None:
    y, p, w = _columns(rows)
    extreme = np.where(p > 0.6, 1.0, np.where(p < 0.2, 0.0, p))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.calibration_slope(y, extreme, w[None])
        assert np.isfinite(metrics.calibration_intercept(y, extreme, w[None])).all()
    events, others = logit(extreme[y == 1]), logit(extreme[y == 0])
    separated = events.min() >= others.max() or others.min() >= events.max()
    assert np.isnan(found[0]) == (separated or np.ptp(logit(extreme)) < metrics.CONSTANT)


@given(rows=_rows())
def test_sensitivity_at_specificity_by_brute_force(rows: list[tuple[bool, float, int]]) -> None:
    y, s, _ = _columns(rows)
    best = 0.0
    for cut in [*np.unique(s), np.inf]:
        if np.mean(s[y == 0] < cut) >= 0.9 - 1e-12:
            best = max(best, float(np.mean(s[y == 1] >= cut)))
    assert metrics.sensitivity_at_specificity(y, s)[0] == pytest.approx(best)


def test_sensitivity_at_a_specificity_that_is_just_reached() -> None:
    y = np.repeat([0, 1], [30, 10])
    s = np.concatenate([np.arange(30), np.full(10, 26.5)]).astype(float)  # 3 of 30 lie above
    assert metrics.sensitivity_at_specificity(y, s)[0] == 1.0
    assert metrics.sensitivity_at_specificity(y, s, specificity=0.91)[0] == 0.0


def test_net_benefit_by_hand() -> None:
    y, p = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.1, 0.8, 0.25, 0.1])
    assert metrics.net_benefit(y, p, threshold=0.25)[0] == pytest.approx(1 / 5 - 2 / 5 / 3)
    with pytest.raises(DataError, match="between 0 and 1"):
        metrics.net_benefit(y, p, threshold=1.0)


def test_one_class_is_nan_where_the_other_is_needed() -> None:
    s = np.array([0.2, 0.7, 0.4])
    ones, zeros = np.ones(3), np.zeros(3)
    for y in (ones, zeros):
        for function in (metrics.auroc, metrics.sensitivity_at_specificity):
            assert np.isnan(function(y, s)[0])
    assert np.isnan(metrics.auprc(zeros, s)[0])
    assert metrics.auprc(ones, s)[0] == 1.0
    assert np.isnan(metrics.recall(zeros, ones)[0])
    assert np.isnan(metrics.specificity(ones, ones)[0])
    assert np.isnan(metrics.precision(ones, zeros)[0])
    assert np.isnan(metrics.f1(zeros, zeros)[0])
    assert metrics.f1(ones, zeros)[0] == 0.0
    assert np.isnan(metrics.calibration_intercept(ones, s)[0])


def test_a_draw_with_one_class_is_nan_and_its_neighbour_is_not() -> None:
    y, s = np.array([0, 0, 1]), np.array([0.1, 0.6, 0.4])
    found = metrics.auroc(y, s, np.array([[1, 1, 1], [2, 1, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan])


def test_constant_score_ranks_nobody() -> None:
    y = np.array([0, 1, 0, 0, 1])
    assert metrics.auroc(y, np.zeros(5))[0] == 0.5
    assert metrics.auprc(y, np.zeros(5))[0] == pytest.approx(0.4)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("y", "values", "weights", "message"),
    [
        ([0, 1, np.nan], [0, 1, 1], None, "none missing"),
        ([0, 1, 2], [0, 1, 1], None, "0 or 1"),
        ([0, 1, 1], [0, 1, np.nan], None, "finite"),
        ([0, 1, 1], [0, 1, np.inf], None, "finite"),
        ([0, 1], [0, 1, 1], None, "one length"),
        ([[0, 1]], [[0, 1]], None, "one length"),
        ([], [], None, "filled"),
        ([0, 1], [0, 1], [[1, -1]], "non-negative"),
        ([0, 1], [0, 1], [[1, np.nan]], "non-negative"),
        ([0, 1], [0, 1], [1, 1], "shape"),
    ],
)
def test_bad_input_is_refused(
    name: str, y: list[float], values: list[float], weights: list[list[float]] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        METRICS[name].function(
            np.array(y), np.array(values), None if weights is None else np.array(weights)
        )


def test_probabilities_and_decisions_keep_their_range() -> None:
    y = np.array([0, 1])
    for function in (metrics.brier, metrics.calibration_slope, metrics.calibration_intercept):
        with pytest.raises(DataError, match="between 0 and 1"):
            function(y, np.array([0.5, 1.2]))
    with pytest.raises(DataError, match="0 or 1"):
        metrics.accuracy(y, np.array([0.5, 1.0]))


@given(rows=_rows())
def test_cuts_decide_as_counting_does(rows: list[tuple[bool, float, int]]) -> None:
    y, p, _ = _columns(rows)
    found = metrics.cuts(y, p)
    assert len(found.threshold) == len(np.unique(p))
    for cut, sensitivity, specificity in zip(
        found.threshold, found.sensitivity, found.specificity, strict=True
    ):
        assert sensitivity == pytest.approx(np.mean(p[y == 1] >= cut))
        assert specificity == pytest.approx(np.mean(p[y == 0] < cut))


def test_cuts_need_both_classes() -> None:
    with pytest.raises(DataError, match="with and without"):
        metrics.cuts(np.ones(3), np.array([0.1, 0.2, 0.3]))


def test_registry_names_and_labels_are_unique() -> None:
    known = metrics_at(0.2)
    assert all(name == metric.name for name, metric in known.items())
    assert len({m.label for m in known.values()}) == len(known) == len(METRICS) + 1


@settings(max_examples=25)
@given(rows=_rows())
def test_ranking_metrics_see_ranks_only(rows: list[tuple[bool, float, int]]) -> None:
    y, s, _ = _columns(rows)
    ranks = np.unique(s, return_inverse=True)[1].astype(float)
    for name, metric in METRICS.items():
        if metric.needs == "score":
            np.testing.assert_allclose(
                metric.function(y, s), metric.function(y, ranks), err_msg=name
            )


def test_rates_at_many_thresholds_are_those_of_one() -> None:
    """Draw by draw and threshold by threshold, also where a draw lacks a class."""
    rng = np.random.default_rng(3)
    y = (rng.random(60) < 0.3).astype(float)
    predictions = rng.random((2, 60))
    thresholds = np.array([0.1, 0.35, 0.8])
    weights = rng.integers(0, 3, (5, 60)).astype(float)
    weights[0, y == 1] = 0
    treated = (predictions[:, :, None] >= thresholds).astype(float)
    found = metrics.rates_at(y, treated, thresholds, weights)
    for r, p in enumerate(predictions):
        for k, threshold in enumerate(thresholds):
            expected = (
                metrics.recall(y, (p >= threshold).astype(float), weights),
                metrics.specificity(y, (p >= threshold).astype(float), weights),
                metrics.net_benefit(y, p, weights, threshold=threshold),
            )
            for rate, reference in zip(found, expected, strict=True):
                np.testing.assert_allclose(rate[r, :, k], reference, atol=1e-12)
