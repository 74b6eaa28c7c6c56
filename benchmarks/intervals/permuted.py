"""The permuted floor: how often its interval holds one half.

The exchange is that of `fusion.evaluation.permutation`: outcomes are exchanged anew for every outer
fold, within test folds, and scores are written under the patient whose outcome was tested. The fit
is the benchmark's logistic regression, and the interval that of the report.
"""

from __future__ import annotations

import numpy as np

from benchmarks.intervals.cohorts import Cohort, Population
from benchmarks.intervals.pipelines import fit_logistic
from benchmarks.intervals.studies import Outcome, Setting, draw_folds
from fusion import metrics
from fusion.metrics.bootstrap import draw_weights
from fusion.metrics.cross_validated import cross_validated_interval

STRONG = 1.5
"""Distance of the classes before outcomes are exchanged."""


def permuted_floor(setting: Setting, seed: int, draws: int) -> list[Outcome]:
    """One study with a strong signal, its outcomes exchanged."""
    rng = np.random.default_rng([seed, setting.n])
    cohort = Population(setting.columns, STRONG).draw(setting.n, 1, rng)
    scores = np.array(
        [_exchanged(cohort.x, cohort.y, f, rng) for f in _folds(setting, cohort, rng)]
    )
    weights = draw_weights(cohort.cluster.astype(str), draws, seed).astype(float)
    units = int(min(cohort.y.sum(), (1 - cohort.y).sum()))
    values = np.array([metrics.auroc(cohort.y, score)[0] for score in scores])
    drawn = np.array([metrics.auroc(cohort.y, score, weights) for score in scores])
    return [
        Outcome(
            "floor",
            repeats,
            "melafuse",
            cross_validated_interval(values[:repeats], drawn[:repeats], 1, units, bounded=True),
            0.5,
        )
        for repeats in sorted({1, setting.repeats})
    ]


def _folds(setting: Setting, cohort: Cohort, rng: np.random.Generator) -> list[np.ndarray]:
    return [draw_folds(cohort, setting.folds, rng) for _ in range(setting.repeats)]


def _exchanged(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Out-of-fold scores of one repeat, under the patients whose outcomes were tested."""
    folds = int(fold.max()) + 1
    partners = np.tile(np.arange(len(y)), (folds, 1))
    for fitted in range(folds):
        for part in range(folds):
            members = np.flatnonzero(fold == part)
            partners[fitted, members] = rng.permutation(members)
    counts = np.array([fold != k for k in range(folds)], dtype=float)
    weights, intercept = fit_logistic(x, y[partners], counts)
    all_scores = weights @ x.T + intercept[:, None]
    scores = np.empty(len(y))
    for fitted in range(folds):
        test = np.flatnonzero(fold == fitted)
        scores[partners[fitted, test]] = all_scores[fitted, test]
    return scores
