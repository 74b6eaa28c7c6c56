"""Pairs of arms, and thresholds that may be shown, against counts by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from collect_example import BASELINE
from hypothesis import given
from hypothesis import strategies as st

from fusion.evidence import BinaryEvidence, Evidence
from fusion.evidence.aligned import ArmPredictions, RepeatPredictions
from fusion.evidence.operating import LEAST, THRESHOLDS, operating_points, shown_thresholds
from fusion.metrics import draw_weights


def test_every_pair_is_there_once_and_is_the_difference_of_the_table(evidence: Evidence) -> None:
    names = [arm.arm for arm in evidence.arms]
    assert [(p.first, p.second) for p in evidence.pairs] == list(itertools.combinations(names, 2))
    for arm in evidence.arms:
        if arm.arm == BASELINE:
            continue
        pair = next(p for p in evidence.pairs if {p.first, p.second} == {arm.arm, BASELINE})
        sign = 1 if pair.first == arm.arm else -1
        tested = arm.differences["auroc"]
        assert pair.delta.value == pytest.approx(sign * tested.estimate.value)
        assert pair.p == pytest.approx(tested.p)
        assert (pair.p_holm is None) == (arm.kind == "floor")
        if pair.p_holm is not None and tested.p_holm is not None:
            assert pair.p_holm >= tested.p_holm - 1e-12  # more pairs were looked at


def test_counts_of_a_threshold_are_those_of_the_predictions(
    evidence: BinaryEvidence, predictions: pd.DataFrame
) -> None:
    own = predictions[predictions["arm"] == BASELINE]
    assert len(evidence.operating[BASELINE]) >= 2
    for point in evidence.operating[BASELINE]:
        treated = own["probability"] >= point.threshold
        counts = [
            own[(treated == is_treated) & (own["y"] == y)].groupby("repeat").size().sum() / 2
            for is_treated, y in ((True, 1), (True, 0), (False, 1), (False, 0))
        ]
        tp, fp, fn, tn = counts
        assert (tp, fp, fn, tn) == pytest.approx(
            (point.true_positive, point.false_positive, point.false_negative, point.true_negative)
        )
        assert point.sensitivity.value == pytest.approx(tp / (tp + fn))
        assert point.specificity.value == pytest.approx(tn / (tn + fp))
        odds = point.threshold / (1 - point.threshold)
        assert point.net_benefit.value == pytest.approx((tp - fp * odds) / (tp + fp + fn + tn))
        for shown in (point.sensitivity, point.specificity, point.net_benefit):
            assert shown.low <= shown.value <= shown.high
    assert "prevalence" not in evidence.operating


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60).map(
        lambda drawn: drawn * 4  # some counts are large
    ),
)
def test_no_shown_count_and_no_step_is_small(patients: list[tuple[float, bool]]) -> None:
    risk = np.array([p for p, _ in patients])
    y = np.array([float(had) for _, had in patients])
    treated = risk[:, None] >= THRESHOLDS
    hits, alarms = treated[y == 1].sum(axis=0), treated[y == 0].sum(axis=0)
    kept = shown_thresholds(hits, alarms, y.sum(), (1 - y).sum())
    bands = [(y.sum(), (1 - y).sum()), *((hits[k], alarms[k]) for k in kept), (0, 0)]
    if not kept:
        return
    for before, now in itertools.pairwise(bands):
        for step in np.subtract(before, now):
            assert step == 0 or step >= LEAST


def test_one_class_has_no_thresholds_but_those_that_tell_nothing() -> None:
    risk = np.linspace(0.05, 0.95, 60)
    part = RepeatPredictions(0, np.arange(60) % 3, risk, risk, np.full(60, 0.5))
    arm = ArmPredictions("a", "a", ("x",), "arm", (part,))
    clusters = np.arange(60).astype(str)
    few = np.zeros(60)
    few[-3:] = 1
    weights = draw_weights(clusters, 20, 0)
    for point in operating_points(few, arm, weights, clusters):
        assert point.true_positive in (0, 3)
