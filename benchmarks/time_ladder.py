"""Do the rungs of the time ladder hold the truth, and does the first one miss it?

    python benchmarks/time_ladder.py --cohorts 500

Each cohort is drawn from the planted model of the synthetic source with late specimens
(`featurestore.sources.synthetic_late`), so that the log hazard ratio of the image factor is known
and is the same on every clock. On the rungs of the ladder (`fusion.evaluation.time_rungs`) a Cox
regression of all three factors estimates it. It is what a rung can be judged by: C has another true
value on each of them, because other patients stand on it. Printed are the truth, the mean estimate,
and the share of 95 % intervals that hold the truth with the exact binomial limits of that share.
What the first rung converges to is that of one cohort of 200,000.
"""

from __future__ import annotations

import argparse

import click
import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm

from featurestore.sources.synthetic_late import (
    DAY_COLUMN,
    DEATH_COLUMN,
    SURVIVAL_COLUMN,
    TYPE_COLUMN,
    draw_late_specimens,
    late_facts,
)
from featurestore.sources.synthetic_model import FACTORS, Effects, draw_patients
from fusion.evaluation.time_rungs import FROM_ZERO, RungRows, time_rungs
from fusion.metrics.survival import checked_times, cox_ridge

GENES, PREVALENCE = 24, 0.4
MANY = 200_000
WIDTH = float(norm.ppf(0.975))


def cohort(patients: int, late: float, seed: int) -> tuple[tuple[RungRows, ...], np.ndarray]:
    """The rungs of one cohort, and the three factors of its patients, (patients, 3)."""
    drawn = draw_patients(
        patients, GENES, PREVALENCE, Effects(), False, np.random.SeedSequence(seed)
    )
    rows = draw_late_specimens(drawn.truth, late, seed)
    factors = drawn.truth.loc[rows.index, [f"{name}_factor" for name in FACTORS]].to_numpy()
    times = checked_times(rows[SURVIVAL_COLUMN], rows[DEATH_COLUMN])
    primary = (rows[TYPE_COLUMN] == "primary").to_numpy(dtype=float)
    return time_rungs(times, rows[DAY_COLUMN].to_numpy(), primary), factors


def estimates(rungs: tuple[RungRows, ...], factors: np.ndarray) -> list[dict[str, object]]:
    """Log hazard ratio of the image factor on each rung, with its Wald interval."""
    found: list[dict[str, object]] = []
    for rung in rungs:
        fitted = cox_ridge(rung.times, factors[rung.kept])
        value, error = fitted.coefficients[0], float(np.sqrt(fitted.covariance[0, 0]))
        found.append(
            {
                "rung": rung.name,
                "n": len(rung.times),
                "events": int((rung.times.event == 1).sum()),
                "value": float(value),
                "low": float(value - WIDTH * error),
                "high": float(value + WIDTH * error),
            }
        )
    return found


def coverage(rows: pd.DataFrame, truth: float) -> pd.DataFrame:
    """One line a rung: how often its interval holds the truth."""
    lines = []
    for name, part in rows.groupby("rung", sort=False):
        held = int(((part["low"] <= truth) & (truth <= part["high"])).sum())
        limits = binomtest(held, len(part)).proportion_ci(0.95, "exact")
        lines.append(
            {
                "rung": name,
                "n": part["n"].mean(),
                "events": part["events"].mean(),
                "mean": part["value"].mean(),
                "held": held / len(part),
                "low": limits.low,
                "high": limits.high,
            }
        )
    return pd.DataFrame(lines)


def main() -> None:
    """Prints one line a rung."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--late", type=float, default=0.7)
    options = parser.parse_args()
    truth = late_facts(Effects())["log_hazard_ratio_image"]
    found = [
        row
        for seed in range(options.cohorts)
        for row in estimates(*cohort(options.patients, options.late, seed))
    ]
    first = estimates(*cohort(MANY, options.late, options.cohorts))[0]
    assert first["rung"] == FROM_ZERO
    click.echo(
        f"{options.cohorts} cohorts of {options.patients} patients, {options.late:.0%} with a late "
        f"specimen; true log hazard ratio of the image factor {truth:.3f}; the first rung "
        f"converges to {first['value']:.3f} ({MANY:,} patients)"
    )
    click.echo(f"{'rung':<20}{'n':>6}{'events':>8}{'mean':>8}  coverage [95 % limits]")
    for line in coverage(pd.DataFrame(found), truth).itertuples():
        click.echo(
            f"{line.rung:<20}{line.n:>6.0f}{line.events:>8.0f}{line.mean:>8.3f}  "
            f"{line.held:.1%} [{line.low:.1%}, {line.high:.1%}]"
        )


if __name__ == "__main__":
    main()
