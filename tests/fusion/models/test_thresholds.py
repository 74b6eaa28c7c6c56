"""Every rule against counting over all cuts, and what none of them may depend on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fusion.config import ThresholdConfig
from fusion.features.table import FeatureTable
from fusion.metrics.classification import auroc
from fusion.models.base import InnerPredictions, Model
from fusion.models.thresholds import NO_RANKING, RULES, inner_threshold, rule_text

ROWS = st.lists(st.tuples(st.booleans(), st.integers(1, 99)), min_size=4, max_size=40).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)
VALUES = {"youden": None, "sensitivity": 0.9, "specificity": 0.8, "cost": 4.0}


def inner(y: np.ndarray, p: np.ndarray) -> InnerPredictions:
    return InnerPredictions(np.array([f"P{i:03d}" for i in range(len(y))]), y, p)


def worth(rule: str, value: float, y: np.ndarray, p: np.ndarray, cut: float) -> float:
    """What the rule wants to be large, by counting patients."""
    called = p >= cut
    sensitivity, specificity = np.mean(called[y == 1]), np.mean(~called[y == 0])
    if rule == "youden":
        return float(sensitivity + specificity)
    if rule == "cost":
        return -float(value * np.sum(~called & (y == 1)) + np.sum(called & (y == 0)))
    reached, other = (
        (sensitivity, specificity) if rule == "sensitivity" else (specificity, sensitivity)
    )
    return float(other) if reached >= value - 1e-12 else -2.0


@pytest.mark.parametrize("rule", RULES)
@given(rows=ROWS)
def test_no_other_cut_is_better(rule: str, rows: list[tuple[bool, int]]) -> None:
    y = np.array([float(event) for event, _ in rows])
    p = np.array([percent / 100 for _, percent in rows])
    assume(auroc(y, p)[0] > 0.5)
    value = VALUES[rule]
    config = ThresholdConfig(rule=rule, value=value)  # type: ignore[arg-type]
    found = inner_threshold(inner(y, p), config)
    best = max(worth(rule, value or 0.0, y, p, cut) for cut in np.unique(p))
    if rule == "specificity" and best < 0:
        return  # no cut among the probabilities reaches it
    assert worth(rule, value or 0.0, y, p, found) == pytest.approx(best)
    assert found == inner_threshold(inner(y[::-1], p[::-1]), config)


def test_of_equals_the_most_central_is_taken() -> None:
    y, p = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.2, 0.6, 0.8])
    # Cuts at 0.15, between 0.1 and 0.2, and at 0.7, between 0.6 and 0.8, are equally good.
    assert inner_threshold(inner(y, p)) == pytest.approx(0.7)


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.3
    high = float(np.nextafter(low, 1))
    cut = inner_threshold(inner(np.array([0.0, 1.0]), np.array([low, high])))
    assert cut == pytest.approx(0.3)


def test_without_ranking_there_is_no_threshold() -> None:
    y, p = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.1, 0.9, 0.2, 0.8])
    assert inner_threshold(inner(y, p)) == NO_RANKING


@pytest.mark.parametrize(
    ("rule", "value"), [("youden", 0.5), ("sensitivity", None), ("specificity", 1.5)]
)
def test_values_that_do_not_fit_are_refused(rule: str, value: float | None) -> None:
    with pytest.raises(ValueError, match=r"value|between"):
        ThresholdConfig(rule=rule, value=value)  # type: ignore[arg-type]


def test_rules_are_put_in_words() -> None:
    assert rule_text(ThresholdConfig()) == "Youden's index"
    assert "sensitivity of 0.9" in rule_text(ThresholdConfig(rule="sensitivity", value=0.9))
    assert "5 false alarms" in rule_text(ThresholdConfig(rule="cost", value=5))


def test_a_model_that_does_not_rank_has_a_neutral_threshold(
    fit: Callable[..., Model], table: FeatureTable
) -> None:
    inner = fit("logistic_regression", table).inner_
    reversed_ = dataclasses.replace(inner, probability=1 - inner.probability)
    assert inner_threshold(reversed_) == NO_RANKING
    constant = dataclasses.replace(inner, probability=np.full(len(inner.y), 0.2))
    assert inner_threshold(constant) == NO_RANKING
