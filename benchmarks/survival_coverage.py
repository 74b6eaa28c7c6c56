"""How often does the bootstrap's 95 % interval of a survival metric hold the true value?

    python benchmarks/survival_coverage.py --cohorts 500 --censored 0.3 0.7

Each cohort is simulated with the same true risks and scored with them, and with a permutation of
them, whose concordance and AUC are one half. Censoring weights come from the other four fifths of
the cohort, fold by fold, and from what a draw drew of them. Printed are the true value,
the mean estimate, the share of intervals that hold the truth with its Monte Carlo error, the share
that miss it on either side, and how many cohorts gave no interval.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator

import click
import numpy as np

from fusion.metrics import Estimate, draw_weights, in_chunks, percentile_interval
from fusion.metrics.survival import (
    Times,
    brier_at,
    calibration_intercept_at,
    calibration_slope_at,
    dynamic_auc,
    harrell_c,
    observed_over_expected,
    out_of_fold,
    uno_c,
)
from fusion.metrics.survival.simulation import Design, Simulated, simulate, truth

FOLDS = 5


def with_censoring(design: Design, share: float) -> Design:
    """The design with the rate of censoring that censors this share of rows."""
    low, high = 1e-4, 10.0
    for _ in range(30):
        rate = float(np.sqrt(low * high))
        cohort = simulate(dataclasses.replace(design, censoring=rate), 20_000, 0)
        low, high = (rate, high) if np.mean(cohort.times.event == 0) < share else (low, rate)
    return dataclasses.replace(design, censoring=rate)


def estimates(cohort: Simulated, horizon: float, draws: int, seed: int) -> dict[str, Estimate]:
    """Every metric of one cohort with its interval."""
    times, rng = cohort.times, np.random.default_rng(seed)
    fold = rng.permutation(len(times)) % FOLDS
    score = cohort.log_hazard_ratio
    chance, risk = rng.permutation(score), cohort.risk(horizon)

    def computed(weights: np.ndarray) -> dict[str, np.ndarray]:
        g = out_of_fold(times, fold, weights)
        return {
            "Harrell's C": harrell_c(times, score, weights),
            "Uno's C": uno_c(times, score, g, weights, tau=horizon),
            "AUC": dynamic_auc(times, risk, horizon, g, weights),
            "Brier": brier_at(times, risk, horizon, g, weights),
            "O/E": observed_over_expected(times, risk, horizon, weights),
            "intercept": calibration_intercept_at(times, risk, horizon, g, weights),
            "slope": calibration_slope_at(times, risk, horizon, g, weights),
            "Uno's C, permuted": uno_c(times, chance, g, weights, tau=horizon),
            "AUC, permuted": dynamic_auc(times, chance, horizon, g, weights),
        }

    values = computed(np.ones((1, len(times))))
    drawn = draw_weights(np.arange(len(times)), draws, seed)
    chunks = [computed(chunk) for chunk in in_chunks(drawn)]
    return {
        name: percentile_interval(float(value[0]), np.concatenate([c[name] for c in chunks]))
        for name, value in values.items()
    }


def true_values(design: Design, horizon: float) -> dict[str, float]:
    """What each metric is without censoring; Harrell's C what it is with it."""
    known = truth(design, horizon, blocks=40)
    cohorts = (simulate(design, 2000, 10_000 + seed) for seed in range(40))
    harrell = np.mean([harrell_c(c.times, c.log_hazard_ratio)[0] for c in cohorts])
    return {
        "Harrell's C": float(harrell),
        "Uno's C": known.concordance,
        "AUC": known.auc,
        "Brier": known.brier,
        "O/E": 1.0,
        "intercept": 0.0,
        "slope": 1.0,
        "Uno's C, permuted": 0.5,
        "AUC, permuted": 0.5,
    }


def lines(found: list[dict[str, Estimate]], known: dict[str, float]) -> Iterator[str]:
    """One line a metric."""
    for name, value in known.items():
        intervals = [cohort[name] for cohort in found if np.isfinite(cohort[name].low)]
        above = np.mean([i.low > value for i in intervals])
        below = np.mean([i.high < value for i in intervals])
        held = 1 - above - below
        error = np.sqrt(held * (1 - held) / len(intervals))
        mean = np.mean([i.value for i in intervals])
        yield (
            f"  {name:18s} truth {value:6.3f}  mean {mean:6.3f}  coverage {held:6.1%} ± {error:.1%}"
            f"  above {above:5.1%}  below {below:5.1%}  none {len(found) - len(intervals)}"
        )


def rows_for(times: Times) -> str:
    """What a cohort of the design looks like."""
    shares = ", ".join(f"{code}: {np.mean(times.event == code):.0%}" for code in range(3))
    return f"event codes {shares}; late entry {np.mean(times.entry > 0):.0%}"


def main() -> None:
    """Prints one table a share of censoring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--censored", type=float, nargs="+", default=[0.3, 0.7])
    parser.add_argument("--horizon", type=float, default=3.0)
    parser.add_argument("--effect", type=float, default=0.8)
    parser.add_argument("--competing", type=float, default=0.0)
    parser.add_argument("--late", type=float, default=0.0)
    options = parser.parse_args()
    base = Design(effect=options.effect, competing=options.competing, late=options.late)
    for share in options.censored:
        design = with_censoring(base, share)
        known = true_values(design, options.horizon)
        found = [
            estimates(
                simulate(design, options.patients, seed), options.horizon, options.draws, seed
            )
            for seed in range(options.cohorts)
        ]
        click.echo(
            f"{share:.0%} censored, {options.patients} patients, {options.cohorts} cohorts "
            f"({rows_for(simulate(design, 20_000, 0).times)})"
        )
        for line in lines(found, known):
            click.echo(line)


if __name__ == "__main__":
    main()
