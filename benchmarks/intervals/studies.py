"""One simulated study: a cohort is drawn, its folds too, pipelines are fitted, intervals made."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.intervals import cohorts
from benchmarks.intervals.candidates import Arm, make_arm, paired, single
from benchmarks.intervals.cohorts import Cohort, Population
from benchmarks.intervals.pipelines import PIPELINES
from fusion import metrics
from fusion.metrics import Estimate, draw_weights, percentile_interval, sigmoid
from fusion.metrics.cross_validated import cross_validated_interval

PILOTS = {"logistic": 50, "lightgbm": 10, "tuned": 10, "head": 10}
HALVINGS = 7
LARGEST_DISTANCE = 5.0


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        pipeline: Name of a pipeline.
        columns: Columns of the cohort.
        n: Patients.
        level: Mean true AUROC of the fold models of the arm that sees all columns.
        folds: Folds of a repeat.
        repeats: Repeats; intervals are made for the first, the first two, and so on.
        cluster_size: Patients of a cluster.
    """

    pipeline: str
    columns: int
    n: int
    level: float
    folds: int
    repeats: int
    cluster_size: int

    @property
    def name(self) -> str:
        """Name for files."""
        return (
            f"{self.pipeline}-p{self.columns}-n{self.n}-a{self.level:g}-k{self.folds}"
            f"-r{self.repeats}-c{self.cluster_size}"
        )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One interval and the truth that it should hold.

    Attributes:
        question: `arm`, `gain`, `no gain`, `auprc` or `brier`.
        repeats: Repeats that it is made from.
        candidate: Name of the interval.
        estimate: The interval.
        truth: Mean over the fold models of their true value.
    """

    question: str
    repeats: int
    candidate: str
    estimate: Estimate
    truth: float


def population_of(setting: Setting) -> Population:
    """Finds the distance of the classes at which fold models have the level of the setting."""
    if setting.level == 0.5:
        return Population(setting.columns, 0.0)
    training = round(setting.n * (1 - 1 / setting.folds))
    low, high = 0.0, LARGEST_DISTANCE
    everything = np.arange(setting.columns)
    for _ in range(HALVINGS):
        tried = Population(setting.columns, (low + high) / 2)
        rng = np.random.default_rng(0)
        areas = []
        for _ in range(PILOTS[setting.pipeline]):
            cohort = tried.draw(training, setting.cluster_size, rng)
            whole = np.ones((1, training), dtype=bool)
            fit = PIPELINES[setting.pipeline]
            areas.append(fit(cohort, whole, everything, tried, rng).auroc[0])
        low, high = (
            (tried.distance, high) if np.mean(areas) < setting.level else (low, tried.distance)
        )
    return Population(setting.columns, (low + high) / 2)


def draw_folds(cohort: Cohort, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each patient: stratified by the outcome, clusters whole."""
    clusters, first = np.unique(cohort.cluster, return_index=True)
    fold = np.empty(len(clusters), dtype=int)
    for outcome in (0.0, 1.0):
        members = rng.permutation(np.flatnonzero(cohort.y[first] == outcome))
        fold[members] = (np.arange(len(members)) + rng.integers(folds)) % folds
    return fold[cohort.cluster]


def simulate(setting: Setting, population: Population, seed: int, draws: int) -> list[Outcome]:
    """Draws one study and makes all intervals; without draws, those that need none."""
    rng = np.random.default_rng([seed, setting.n, round(100 * setting.level), setting.columns])
    cohort = population.draw(setting.n, setting.cluster_size, rng)
    folds = np.array([draw_folds(cohort, setting.folds, rng) for _ in range(setting.repeats)])
    masks = np.array([fold != k for fold in folds for k in range(setting.folds)])
    weights = np.empty((0, setting.n))
    if draws:
        weights = draw_weights(cohort.cluster.astype(str), draws, seed).astype(float)
    fitted: dict[str, Arm] = {}
    truths: dict[str, np.ndarray] = {}
    others: dict[str, np.ndarray] = {}
    rows, shape = np.arange(setting.n), (setting.repeats, setting.folds)
    models = np.arange(setting.repeats)[:, None] * setting.folds + folds
    for name, columns in cohorts.arms(setting.columns).items():
        if name == "noisy" and setting.pipeline != "logistic":
            continue  # a third less time
        found = PIPELINES[setting.pipeline](cohort, masks, columns, population, rng)
        scores = found.scores[models, rows]
        fitted[name] = make_arm(cohort.y, cohort.cluster, folds, scores, weights)
        truths[name] = found.auroc.reshape(shape)
        if name == "full" and draws and found.others is not None:
            others = {metric: true.reshape(shape) for metric, true in found.others().items()}
    outcomes = []
    for repeats in range(1, setting.repeats + 1):
        outcomes += _areas(fitted, truths, repeats)
        if others:
            outcomes += _others(fitted["full"].first(repeats), others, repeats)
    return outcomes


def _areas(arms: dict[str, Arm], truths: dict[str, np.ndarray], repeats: int) -> list[Outcome]:
    true = {name: float(truth[:repeats].mean()) for name, truth in truths.items()}
    arm = {name: whole.first(repeats) for name, whole in arms.items()}
    found = {
        "arm": (single(arm["full"]), true["full"]),
        "gain": (paired(arm["full"], arm["few"]), true["full"] - true["few"]),
    }
    if "noisy" in arms:
        found["no gain"] = (paired(arm["noisy"], arm["few"]), true["noisy"] - true["few"])
    return [
        Outcome(question, repeats, candidate, estimate, truth)
        for question, (estimates, truth) in found.items()
        for candidate, estimate in estimates.items()
    ]


def _others(arm: Arm, truth: dict[str, np.ndarray], repeats: int) -> list[Outcome]:
    """AUPRC and Brier, as now and as melafuse prints them."""
    outcomes = []
    inputs = {"auprc": (metrics.auprc, arm.scores), "brier": (metrics.brier, sigmoid(arm.scores))}
    for name, (metric, predictions) in inputs.items():
        values = np.array([metric(arm.y, p)[0] for p in predictions])
        drawn = np.array([metric(arm.y, p, arm.weights) for p in predictions])
        true = float(truth[name][:repeats].mean())
        for candidate, estimate in (
            ("percentile", percentile_interval(float(values.mean()), drawn.mean(axis=0))),
            (
                "melafuse",
                cross_validated_interval(values, drawn, arm.n_folds, arm.units, None, True),
            ),
        ):
            outcomes.append(Outcome(name, repeats, candidate, estimate, true))
    return outcomes
