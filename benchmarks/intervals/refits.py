"""Intervals that refit the pipeline: nested cross-validation, and the location-shifted bootstrap.

Both are made for the logistic regression, with the fold-averaged AUROC of one repeat.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.stats import norm

from benchmarks.intervals.candidates import around, limit_errors, make_arm, placements
from benchmarks.intervals.cohorts import Cohort, Population
from benchmarks.intervals.pipelines import fit_logistic, logistic
from benchmarks.intervals.studies import Outcome, Setting, draw_folds
from fusion.metrics import Estimate

BOOTSTRAPS = 200
NESTED_SPLITS = 15
"""Random splits of nested cross-validation; each has fits for every pair of folds."""

INFLATION = (1.0, 2.0)
"""Bounds of what nested cross-validation multiplies the variance by; Bates et al. let the
standard error be inflated from 1 to √K, a bound that K = 5 would leave too far."""


def refitted(setting: Setting, population: Population, seed: int) -> list[Outcome]:
    """Draws one study and makes the intervals that need refits."""
    rng = np.random.default_rng([seed, setting.n, round(100 * setting.level), setting.columns])
    cohort = population.draw(setting.n, setting.cluster_size, rng)
    fold = draw_folds(cohort, setting.folds, rng)
    masks = np.array([fold != k for k in range(setting.folds)])
    columns = np.arange(setting.columns)
    found = logistic(cohort, masks, columns, population, rng)
    truth = float(found.auroc.mean())
    score = found.scores[fold, np.arange(setting.n)][None, :]
    arm = make_arm(cohort.y, cohort.cluster, fold[None, :], score, np.empty((0, setting.n)))
    value = float(arm.values.mean())
    plain, bound = limit_errors(arm.influence, arm.cluster, setting.folds)
    estimates = {
        "Noma 2021, location shift": location_shifted(cohort, value, rng),
        "Bates 2023, nested": nested(cohort, setting.folds, plain, rng),
        "pooled, models held fixed": around(value, 1.96 * plain),
        "pooled, widened": around(value, arm.student * bound),
    }
    return [Outcome("arm", 1, name, estimate, truth) for name, estimate in estimates.items()]


def location_shifted(cohort: Cohort, value: float, rng: np.random.Generator) -> Estimate:
    """Percentiles of the apparent AUROC over bootstrap samples, moved to the corrected value.

    Noma, Shinozaki, Iba, Teramukai & Furukawa 2021, algorithm 1: the whole fit is made again on
    every bootstrap sample and scored on the same sample; the optimism is taken off both ends.
    """
    n = len(cohort.y)
    counts = np.stack(
        [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(BOOTSTRAPS)]
    )
    counts = np.vstack([np.ones(n), counts]).astype(float)
    weights, intercept = fit_logistic(cohort.x, np.broadcast_to(cohort.y, counts.shape), counts)
    scores = weights @ cohort.x.T + intercept[:, None]
    apparent = []
    for count, score in zip(counts.astype(int), scores, strict=True):
        rows = np.repeat(np.arange(n), count)
        apparent.append(placements(cohort.y[rows], score[rows])[0])
    optimism = apparent[0] - value
    low, high = np.quantile(apparent[1:], [0.025, 0.975])
    return Estimate(value, float(low - optimism), float(high - optimism))


def nested(cohort: Cohort, folds: int, plain: float, rng: np.random.Generator) -> Estimate:
    """Nested cross-validation (Bates, Hastie & Tibshirani 2023, algorithm 1) of fold AUROCs.

    For every split and held-out fold, the cross-validation of the other folds is compared with
    the AUROC of the held-out one; what this difference scatters beyond the scatter of a test fold
    is the mean squared error of cross-validation on (K - 1) / K of the patients.
    """
    errors, outer = [], []
    for _ in range(NESTED_SPLITS):
        fold = draw_folds(cohort, folds, rng)
        pairs = list(itertools.combinations(range(folds), 2))
        masks = [fold != k for k in range(folds)]
        masks += [(fold != i) & (fold != j) for i, j in pairs]
        counts = np.array(masks, dtype=float)
        weights, intercept = fit_logistic(cohort.x, np.broadcast_to(cohort.y, counts.shape), counts)
        scores = weights @ cohort.x.T + intercept[:, None]
        for held in range(folds):
            test = fold == held
            area, psi = placements(cohort.y[test], scores[held, test])
            inner = []
            for place, (i, j) in enumerate(pairs):
                if held in (i, j):
                    other = fold == (j if held == i else i)
                    inner.append(placements(cohort.y[other], scores[folds + place, other])[0])
            errors.append((float(np.mean(inner)) - area) ** 2 - float(np.sum(psi**2)))
            outer.append(area)
    squared = max(0.0, float(np.mean(errors))) * (folds - 1) / folds
    error = np.sqrt(np.clip(squared, INFLATION[0] * plain**2, INFLATION[1] * plain**2))
    return around(float(np.mean(outer)), float(norm.ppf(0.975) * error))
