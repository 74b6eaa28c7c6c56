"""Counted once and read often gives what counting for every metric gives."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from fusion import metrics
from fusion.metrics import METRICS, draw_weights
from fusion.metrics.ranking import Ranking

RANKED = [metric for metric in METRICS.values() if metric.of_ranking is not None]


def patients(ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = (rng.random(80) < 0.3).astype(float)
    score = rng.normal(size=80) + y
    score = np.round(score) if ties else score
    return y, score, draw_weights(np.arange(80).astype(str), 7, 0).astype(float)


def test_all_metrics_of_a_score_are_of_a_ranking() -> None:
    assert {m.name for m in METRICS.values() if m.needs == "score"} == {m.name for m in RANKED}


@pytest.mark.parametrize("metric", RANKED, ids=lambda metric: metric.name)
@pytest.mark.parametrize("ties", [True, False])
def test_a_ranking_equals_repeated_rows(metric: metrics.Metric, ties: bool) -> None:
    y, score, weights = patients(ties)
    assert metric.of_ranking is not None
    found = metric.of_ranking(Ranking.of(y, score, weights))
    for draw, counts in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(len(y)), counts)
        assert found[draw] == pytest.approx(metric.function(y[rows], score[rows])[0], abs=1e-12)


def test_counts_of_tied_scores_are_one_line() -> None:
    y, score, _ = patients(ties=True)
    ranking = Ranking.of(y, score)
    assert len(ranking.events) == len(np.unique(score[y == 1]))
    assert ranking.all_others.tolist() == [(1 - y).sum()]
    assert ranking.true_positives[-1].tolist() == [y.sum()]
    assert ranking.auroc()[0] == pytest.approx(sklearn.metrics.roc_auc_score(y, score), abs=1e-12)
