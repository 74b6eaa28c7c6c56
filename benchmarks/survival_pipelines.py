r"""How often does a 95 % interval of cross-validated concordance hold the truth?

    python -m benchmarks.survival_pipelines --studies 200 --out FOLDER \
        --csv benchmarks/intervals/concordance.csv

Whole studies of times to an event are simulated: a cohort of known hazards, folds, Cox regressions
with a ridge penalty, out-of-fold scores and risks, and the intervals that reports print, by the
code that prints them. The truth that an interval should hold is the mean over the fold models of
their true value in the population. One file a setting; settings that have a file are not run again,
so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.coverage import limits
from benchmarks.survival_coverage import with_censoring
from fusion.evidence.scoring import Sample
from fusion.metrics import Estimate, auroc, draw_weights, in_chunks
from fusion.metrics.survival import (
    baseline_hazard,
    brier_at,
    censoring_distribution,
    cox_ridge,
    dynamic_auc,
    out_of_fold,
    uno_c,
)
from fusion.metrics.survival.simulation import Design, Simulated, simulate

FOLDS, REPEATS, DRAWS = 5, 3, 300
COLUMNS, FEW = 15, 5
"""Columns of the arm that sees all, and of the one that sees little."""
SEEN_BY_FEW = 0.6
"""Share of the variance of the log hazard ratio that lies in the first column."""
PENALTY = 0.1
"""Ridge penalty an event."""
HORIZON = 3.0
POPULATION = 20_000
GRID = np.linspace(0.0, 1.0, 11)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is simulated: patients, standard deviation of the log hazard ratio, share censored."""

    n: int
    effect: float
    censored: float

    @property
    def name(self) -> str:
        """Name for files."""
        return f"n{self.n}-e{self.effect:g}-c{self.censored:g}"


def columns_of(cohort: Simulated, effect: float, rng: np.random.Generator) -> np.ndarray:
    """Independent standard normal columns of which the first and the last make the hazard."""
    n = len(cohort.log_hazard_ratio)
    signal = cohort.log_hazard_ratio / effect if effect else rng.normal(size=n)
    x = rng.normal(size=(n, COLUMNS))
    other = rng.normal(size=n)
    a, b = np.sqrt(SEEN_BY_FEW), np.sqrt(1 - SEEN_BY_FEW)
    x[:, 0], x[:, -1] = a * signal + b * other, b * signal - a * other
    return x


@functools.cache
def concordance_by_correlation(design: Design) -> np.ndarray:
    """True concordance up to the horizon of a score, by its correlation with the hazard."""
    found = np.zeros(len(GRID))
    blocks = 30
    for seed in range(blocks):
        cohort = simulate(design, 2000, 50_000 + seed)
        noise = np.random.default_rng(seed).normal(size=2000)
        lp = cohort.log_hazard_ratio / max(design.effect, 1e-12)
        nobody = censoring_distribution(cohort.uncensored)
        for k, rho in enumerate(GRID):
            score = rho * lp + np.sqrt(1 - rho**2) * noise
            found[k] += uno_c(cohort.uncensored, score, nobody, tau=HORIZON)[0] / blocks
    return found


@dataclasses.dataclass(frozen=True)
class Fitted:
    """One fold model: coefficients of its columns, and the cumulative hazard at the horizon."""

    beta: np.ndarray
    hazard: float

    def risk(self, x: np.ndarray) -> np.ndarray:
        """Risk by the horizon. Shape (n,)."""
        return np.asarray(-np.expm1(-self.hazard * np.exp(x[:, : len(self.beta)] @ self.beta)))


class Population:
    """Many uncensored patients, in whom fold models have their true values."""

    def __init__(self, setting: Setting) -> None:
        """Draws it."""
        self.design = with_censoring(Design(effect=setting.effect), setting.censored)
        cohort = simulate(self.design, POPULATION, 99)
        self.x = columns_of(cohort, setting.effect, np.random.default_rng(99))
        self.risk = cohort.risk(HORIZON)

    def truth(self, model: Fitted) -> dict[str, float]:
        """True values of a fold model."""
        share = np.zeros(COLUMNS)
        share[0], share[-1] = np.sqrt(SEEN_BY_FEW), np.sqrt(1 - SEEN_BY_FEW)
        length = float(np.linalg.norm(model.beta))
        rho = float(model.beta @ share[: len(model.beta)]) / length if length else 0.0
        curve = concordance_by_correlation(self.design)
        known = np.interp(abs(rho), GRID, curve)
        risk = model.risk(self.x)
        doubled = np.concatenate([risk, risk])
        state = np.repeat([1.0, 0.0], POPULATION)
        weight = np.concatenate([self.risk, 1 - self.risk])[None]
        return {
            "uno_c": float(known if rho >= 0 else 1 - known),
            "auc": float(auroc(state, doubled, weight)[0]),
            "brier": float(np.mean(self.risk * (1 - risk) ** 2 + (1 - self.risk) * risk**2)),
        }


METRICS = ("uno_c", "auc", "brier")


def study(setting: Setting, population: Population, seed: int) -> dict[str, tuple[Estimate, float]]:
    """Intervals of one study, each with what it should hold, by question and repeats."""
    rng = np.random.default_rng(seed)
    cohort = simulate(population.design, setting.n, seed)
    times, x = cohort.times, columns_of(cohort, setting.effect, rng)
    folds = [rng.permutation(setting.n) % FOLDS for _ in range(REPEATS)]
    chunks = [None, *in_chunks(draw_weights(np.arange(setting.n), DRAWS, seed))]
    censorings = [[out_of_fold(times, fold, w) for w in chunks] for fold in folds]
    samples: dict[tuple[str, int, int], Sample] = {}
    truths: dict[tuple[str, int, int], float] = {}
    units = int(((times.event == 1) & (times.time <= HORIZON)).sum())
    controls = int((times.time > HORIZON).sum())
    for width in (FEW, COLUMNS):
        parts: dict[str, list[list[np.ndarray]]] = {name: [] for name in METRICS}
        known: dict[str, list[float]] = defaultdict(list)
        for fold, censoring in zip(folds, censorings, strict=True):
            score, risk = np.empty(setting.n), np.empty(setting.n)
            for k in range(FOLDS):
                test, training = fold == k, times.take(fold != k)
                own = x[fold != k, :width]
                beta = cox_ridge(training, own, PENALTY * (training.event == 1).sum()).coefficients
                hazard = float(baseline_hazard(training, own @ beta).at(np.array([HORIZON]))[0])
                model = Fitted(beta, hazard)
                score[test], risk[test] = x[test, :width] @ beta, model.risk(x[test])
                for name, value in population.truth(model).items():
                    known[name].append(value)
            found = [
                (
                    uno_c(times, score, g, w, tau=HORIZON, strata=fold),
                    dynamic_auc(times, risk, HORIZON, g, w, strata=fold),
                    brier_at(times, risk, HORIZON, g, w),
                )
                for g, w in zip(censoring, chunks, strict=True)
            ]
            for place, name in enumerate(METRICS):
                parts[name].append([one[place] for one in found])
        for repeats, name in itertools.product(range(1, REPEATS + 1), METRICS):
            kept = parts[name][:repeats]
            count = units if name == "uno_c" else min(units, controls)
            samples[name, width, repeats] = Sample(
                np.array([values[0][0] for values in kept]),
                np.stack([np.concatenate(values[1:]) for values in kept]),
                FOLDS,
                count,
                None if name == "brier" else count,
                bounded=True,
            )
            truths[name, width, repeats] = float(np.mean(known[name][: FOLDS * repeats]))
    result = {}
    for repeats in range(1, REPEATS + 1):
        for name in METRICS:
            key = name, COLUMNS, repeats
            result[f"{name}, {repeats}"] = samples[key].estimate, truths[key]
        all_, few = ("uno_c", COLUMNS, repeats), ("uno_c", FEW, repeats)
        gain = samples[all_].against(samples[few]).estimate
        result[f"gain in uno_c, {repeats}"] = gain, truths[all_] - truths[few]
        fixed = dataclasses.replace(samples[all_], folds=1).estimate
        result[f"uno_c, {repeats}, models held fixed"] = fixed, truths[all_]
    return result


def run(setting: Setting, studies: int) -> dict[str, dict[str, float]]:
    """Counts what the intervals of a setting did."""
    population = Population(setting)
    cells: dict[str, list[tuple[Estimate, float]]] = defaultdict(list)
    for seed in range(studies):
        for question, one in study(setting, population, seed).items():
            cells[question].append(one)
    return {
        question: {
            "studies": len(found),
            "undefined": sum(not np.isfinite(e.low) for e, _ in found),
            "covered": sum(bool(e.low <= truth <= e.high) for e, truth in found),
            "width": float(np.mean([e.high - e.low for e, _ in found])),
            "truth": float(np.mean([truth for _, truth in found])),
            "bias": float(np.mean([e.value - truth for e, truth in found])),
        }
        for question, found in cells.items()
    }


def main() -> None:
    """Runs what is missing and prints a line a question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--patients", type=int, nargs="+", default=[180, 400])
    parser.add_argument("--effect", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--censored", type=float, nargs="+", default=[0.3, 0.7])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--csv", type=Path, help="also write what was counted as a table")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for n, effect, censored in itertools.product(given.patients, given.effect, given.censored):
        setting = Setting(n, effect, censored)
        path = given.out / f"{setting.name}.json"
        if not path.exists():
            path.write_text(json.dumps(run(setting, given.studies)), encoding="utf-8")
        click.echo(f"{n} patients, effect {effect:g}, {censored:.0%} censored")
        for question, cell in json.loads(path.read_text(encoding="utf-8")).items():
            rows.append({**dataclasses.asdict(setting), "question": question, **cell})
            low, high = limits(int(cell["covered"]), int(cell["studies"]))
            click.echo(
                f"  {question:32s} truth {cell['truth']:.3f}  bias {cell['bias']:+.3f}  coverage "
                f"{cell['covered'] / cell['studies']:.1%} ({low:.1%} to {high:.1%})  width "
                f"{cell['width']:.3f}  undefined {cell['undefined']:.0f}"
            )
    if given.csv:
        pd.DataFrame(rows).to_csv(given.csv, index=False, float_format="%.5f")


if __name__ == "__main__":
    main()
