"""Pipelines that are cross-validated, and the truth about each of their fold models."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import lightgbm
import numpy as np
import torch

from benchmarks.intervals.cohorts import Cohort, Population, linear_auroc, linear_others
from fusion import metrics

STEPS = 25
TREES = 40
INNER_FOLDS = 3
TRIALS = tuple(
    {"num_leaves": leaves, "learning_rate": rate, "lambda_l2": ridge}
    for leaves, rate, ridge in itertools.product((4, 15), (0.03, 0.12), (0.0, 10.0))
)
"""What tuning chooses from."""

HIDDEN = 16
EPOCHS = 40


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Models of all folds of all repeats, in the order of `masks`.

    Attributes:
        scores: Log odds of every patient by every model. Shape (models, n).
        auroc: True AUROC of every model. Shape (models,).
        others: Computes true AUPRC and Brier, by name; None where they are not known.
    """

    scores: np.ndarray
    auroc: np.ndarray
    others: Callable[[], dict[str, np.ndarray]] | None = None


Fit = Callable[[Cohort, np.ndarray, np.ndarray, Population, np.random.Generator], Fitted]
"""Cohort, training masks (models, n), columns of the arm, population, generator."""


def fit_logistic(
    x: np.ndarray, y: np.ndarray, counts: np.ndarray, ridge: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regressions with an L2 penalty on standardized columns, all at once, by Newton.

    The penalty is scikit-learn's default (C = 1).

    Args:
        x: Shape (n, columns).
        y: Shape (models, n).
        counts: How often each patient stands in each training set. Shape (models, n).
        ridge: Strength of the penalty.

    Returns:
        Weights (models, columns) and intercepts (models,) for the columns as they are.
    """
    total = counts.sum(axis=1)[:, None]
    mean = counts @ x / total
    scale = np.sqrt(np.maximum(counts @ x**2 / total - mean**2, 1e-12))
    z = np.concatenate([(x - mean[:, None]) / scale[:, None], np.ones((*counts.shape, 1))], axis=2)
    penalty = np.diag([ridge] * x.shape[1] + [1e-9])
    beta = np.zeros((len(counts), x.shape[1] + 1))
    for _ in range(STEPS):
        mu = 1 / (1 + np.exp(-np.clip((z @ beta[:, :, None])[:, :, 0], -30, 30)))
        slope = np.swapaxes(z, 1, 2) @ (counts * (y - mu))[:, :, None]
        slope = slope[:, :, 0] - beta @ penalty
        curvature = np.swapaxes(z, 1, 2) @ (z * (counts * mu * (1 - mu))[:, :, None]) + penalty
        step = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
        beta += step
        if np.abs(step).max() < 1e-6:
            break
    weights = beta[:, :-1] / scale
    return weights, beta[:, -1] - (weights * mean).sum(axis=1)


def logistic(
    cohort: Cohort,
    masks: np.ndarray,
    columns: np.ndarray,
    population: Population,
    rng: np.random.Generator,
) -> Fitted:
    """Logistic regression; the truth is exact."""
    x, y = cohort.x[:, columns], np.broadcast_to(cohort.y, masks.shape)
    weights, intercept = fit_logistic(x, y, masks.astype(float))
    shift = population.shift[columns]
    return Fitted(
        weights @ x.T + intercept[:, None],
        linear_auroc(weights, shift),
        lambda: linear_others(weights, intercept, shift),
    )


def trees(
    cohort: Cohort,
    masks: np.ndarray,
    columns: np.ndarray,
    population: Population,
    rng: np.random.Generator,
    trials: Sequence[Mapping[str, float]] = ({},),
) -> Fitted:
    """LightGBM; the truth is taken from another cohort, large enough that its error is small.

    Of several trials one is chosen inside every training set, by log loss over its folds.
    """
    x = cohort.x[:, columns]
    other = _elsewhere(population, len(cohort.y), rng)
    scores, elsewhere = [], []
    for mask in masks:
        chosen = trials[0]
        if len(trials) > 1:
            inner = rng.permutation(int(mask.sum())) % INNER_FOLDS
            losses = [_inner_loss(x[mask], cohort.y[mask], inner, trial) for trial in trials]
            chosen = trials[int(np.argmin(losses))]
        model = _boost(x[mask], cohort.y[mask], chosen)
        scores.append(model.predict(x, raw_score=True))
        if other is not None:
            elsewhere.append(model.predict(other.x[:, columns], raw_score=True))
    return Fitted(np.array(scores), _measured(other, np.array(elsewhere), len(masks)))


def _inner_loss(
    x: np.ndarray, y: np.ndarray, inner: np.ndarray, trial: Mapping[str, float]
) -> float:
    """Log loss of predictions out of inner folds."""
    found = np.empty(len(y))
    for fold in range(INNER_FOLDS):
        test = inner == fold
        found[test] = _boost(x[~test], y[~test], trial).predict(x[test], raw_score=True)
    return float(np.mean(np.logaddexp(0, found) - y * found))


def _boost(x: np.ndarray, y: np.ndarray, trial: Mapping[str, float]) -> lightgbm.Booster:
    plain = {
        "objective": "binary",
        "num_leaves": 7,
        "learning_rate": 0.08,
        "min_data_in_leaf": 10,
        "num_threads": 1,
        "verbose": -1,
        "seed": 0,
    }
    return lightgbm.train({**plain, **trial}, lightgbm.Dataset(x, y), TREES)


def head(
    cohort: Cohort,
    masks: np.ndarray,
    columns: np.ndarray,
    population: Population,
    rng: np.random.Generator,
) -> Fitted:
    """A head of one hidden layer (Adam, weight decay, dropout), all models in one batch."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    x = torch.tensor(cohort.x[:, columns], dtype=torch.float32)
    y = torch.tensor(cohort.y, dtype=torch.float32)
    training = torch.tensor(masks, dtype=torch.float32)
    models, width = len(masks), len(columns)
    layers = [
        torch.randn(models, width, HIDDEN, generator=generator) / width**0.5,
        torch.zeros(models, 1, HIDDEN),
        torch.randn(models, HIDDEN, 1, generator=generator) / HIDDEN**0.5,
        torch.zeros(models, 1, 1),
    ]
    for layer in layers:
        layer.requires_grad_()
    optimizer = torch.optim.AdamW(layers, lr=0.02, weight_decay=0.05)
    share = training / training.sum(dim=1, keepdim=True)
    for _ in range(EPOCHS):
        kept = torch.rand(models, 1, HIDDEN, generator=generator) < 0.8
        logits = _forward(layers, x, kept / 0.8)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, y.expand(models, -1), reduction="none"
        )
        optimizer.zero_grad()
        (loss * share).sum().backward()
        optimizer.step()
    other = _elsewhere(population, len(cohort.y), rng)
    with torch.no_grad():
        scores = _forward(layers, x, None).double().numpy()
        elsewhere = np.zeros((0, 0))
        if other is not None:
            large = torch.tensor(other.x[:, columns], dtype=torch.float32)
            elsewhere = _forward(layers, large, None).double().numpy()
    return Fitted(scores, _measured(other, elsewhere, models))


def _forward(
    layers: list[torch.Tensor], x: torch.Tensor, kept: torch.Tensor | None
) -> torch.Tensor:
    hidden = torch.relu(x @ layers[0] + layers[1])
    hidden = hidden if kept is None else hidden * kept
    return (hidden @ layers[2] + layers[3])[:, :, 0]


def _elsewhere(population: Population, n: int, rng: np.random.Generator) -> Cohort | None:
    """A cohort to measure the truth on; None where there is no signal and AUROC is one half."""
    return population.draw(max(8000, 20 * n), 1, rng) if population.distance else None


def _measured(other: Cohort | None, scores: np.ndarray, models: int) -> np.ndarray:
    if other is None:
        return np.full(models, 0.5)
    return np.array([metrics.auroc(other.y, score)[0] for score in scores])


PIPELINES: dict[str, Fit] = {
    "logistic": logistic,
    "lightgbm": trees,
    "tuned": functools.partial(trees, trials=TRIALS),
    "head": head,
}
