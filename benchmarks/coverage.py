"""How often does a 95 % interval of cross-validated performance hold the truth?

    python -m benchmarks.coverage --quick
    python -m benchmarks.coverage --grid logistic --out FOLDER
    python -m benchmarks.coverage --show --out FOLDER --csv benchmarks/intervals/results.csv

Whole pipelines are simulated: cohorts whose distribution is known, folds, fits, out-of-fold
predictions, intervals. The truth that an interval should hold is the mean over the fold models of
their true metric in the population. One file a setting; settings that have a file are not run
again, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from scipy.stats import beta

from benchmarks.intervals.cohorts import Population
from benchmarks.intervals.permuted import permuted_floor
from benchmarks.intervals.refits import refitted
from benchmarks.intervals.studies import Outcome, Setting, population_of, simulate

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
SIZES = (180, 400, 1000)
DRAWS = 300
MANY_DRAWS = 1000
DRAWN_EACH = 10
"""Every how many studies those intervals are made that need draws, where nothing else is asked."""


def _grid(
    pipeline: str, columns: int, sizes: Iterable[int], folds: int = 5, cluster: int = 1
) -> list[Setting]:
    return [
        Setting(pipeline, columns, n, a, folds, 3, cluster)
        for n, a in itertools.product(sizes, LEVELS)
    ]


GRIDS: dict[str, tuple[list[Setting], int]] = {
    "quick": ([Setting("logistic", 15, 180, a, 5, 3, 1) for a in (0.5, 0.7)], 100),
    "logistic": (_grid("logistic", 15, SIZES), 2000),
    "lightgbm": (_grid("lightgbm", 15, SIZES), 60),
    "tuned": (_grid("tuned", 15, SIZES[:1]), 200),
    "head": (_grid("head", 15, SIZES), 60),
    "clusters": (_grid("logistic", 15, SIZES, cluster=3), 2000),
    "wide": (_grid("logistic", 60, SIZES[:2]), 2000),
    "ten_folds": (_grid("logistic", 15, SIZES[:2], folds=10), 2000),
    "permuted": ([Setting("permuted", 15, n, 0.5, 5, 3, 1) for n in (90, 150, 600)], 200),
    "refits": (
        [
            Setting("logistic", 15, n, a, 5, 1, 1)
            for n, a in itertools.product(SIZES[:2], (0.5, 0.7, 0.9))
        ],
        300,
    ),
}
"""Settings of each grid, and their studies."""


def run(setting: Setting, studies: int, drawn_each: int) -> dict[str, Any]:
    """Simulates one setting and counts."""
    population = Population(setting.columns, 0.0)
    if setting.pipeline != "permuted":
        population = population_of(setting)
    cells: dict[tuple[str, int, str], list[Outcome]] = defaultdict(list)
    for seed in range(studies):
        if setting.pipeline == "permuted":
            found = permuted_floor(setting, seed, MANY_DRAWS)
        elif setting.repeats == 1:
            found = refitted(setting, population, seed)
        else:
            found = simulate(setting, population, seed, 0 if seed % drawn_each else DRAWS)
        for outcome in found:
            cells[outcome.question, outcome.repeats, outcome.candidate].append(outcome)
    return {
        "setting": setting.__dict__,
        "distance": population.distance,
        "cells": [
            {"question": question, "repeats": repeats, "candidate": candidate} | count(outcomes)
            for (question, repeats, candidate), outcomes in cells.items()
        ],
    }


def count(outcomes: list[Outcome]) -> dict[str, int | float]:
    """Counts what the intervals of one cell did."""
    errors = [o.estimate.value - o.truth for o in outcomes]
    mean = sum(errors) / len(errors)
    squares = sum((error - mean) ** 2 for error in errors)
    kept = [o for o in outcomes if o.estimate.low <= o.estimate.high]
    return {
        "studies": len(outcomes),
        "undefined": len(outcomes) - len(kept),
        "covered": sum(bool(o.estimate.low <= o.truth <= o.estimate.high) for o in kept),
        "above": sum(bool(o.estimate.low > o.truth) for o in kept),
        "below": sum(bool(o.estimate.high < o.truth) for o in kept),
        "excludes_zero": sum(bool(o.estimate.excludes(0)) for o in kept),
        "width": float(sum(o.estimate.high - o.estimate.low for o in kept) / max(len(kept), 1)),
        "truth": float(sum(o.truth for o in outcomes) / len(outcomes)),
        "bias": float(mean),
        "sd": float((squares / max(len(errors) - 1, 1)) ** 0.5),
    }


def limits(covered: int, studies: int) -> tuple[float, float]:
    """Exact 95 % limits of a share (Clopper & Pearson 1934)."""
    low = float(beta.ppf(0.025, covered, studies - covered + 1)) if covered else 0.0
    high = float(beta.ppf(0.975, covered + 1, studies - covered)) if covered < studies else 1.0
    return low, high


def lines(record: dict[str, Any]) -> Iterator[str]:
    """A table of one setting."""
    setting = Setting(**record["setting"])
    yield f"\n{setting.name}"
    yield (
        f"  {'question':<9}{'R':>2}  {'interval':<28}{'studies':>8}{'truth':>8}{'bias':>9}"
        f"{'sd':>7}{'covers':>8}  {'limits':<13}{'width':>7}"
    )
    for cell in sorted(record["cells"], key=lambda c: (c["question"], c["repeats"])):
        made = cell["studies"] - cell["undefined"]
        low, high = limits(cell["covered"], max(made, 1))
        yield (
            f"  {cell['question']:<9}{cell['repeats']:>2}  {cell['candidate']:<28}"
            f"{cell['studies']:>8}{cell['truth']:>8.3f}{cell['bias']:>+9.4f}{cell['sd']:>7.4f}"
            f"{cell['covered'] / max(made, 1):>8.1%}  {low:.3f}–{high:.3f}  {cell['width']:>7.4f}"
        )


def summary(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Range of coverage and mean width of each interval over all settings."""
    found: dict[tuple[str, bool, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        for cell in record["cells"]:
            key = cell["question"], cell["repeats"] > 1, cell["candidate"]
            found[key].append(cell)
    yield f"\n{'question':<9} {'repeats':<8} {'interval':<28}{'cells':>6}{'lowest':>8}{'mean':>8}"
    for (question, several, candidate), cells in sorted(found.items()):
        shares = [c["covered"] / max(c["studies"] - c["undefined"], 1) for c in cells]
        inside = sum(0.93 <= s <= 0.97 for s in shares)
        yield (
            f"{question:<9} {'several' if several else 'one':<8} {candidate:<28}{len(cells):>6}"
            f"{min(shares):>8.1%}{sum(shares) / len(shares):>8.1%}{max(shares):>8.1%}"
            f"  {inside:>3} in 93–97 %, width {sum(c['width'] for c in cells) / len(cells):.4f}"
        )


def write_table(records: Iterable[dict[str, Any]], path: Path) -> None:
    """Writes one row a cell: what was simulated, and what an interval did.

    Cells that the file has of other settings stay in it; those that were simulated again are
    replaced.
    """
    columns = ("pipeline", "columns", "n", "level", "folds", "cluster_size")
    numbers = ("truth", "bias", "sd", "width")
    heading = [*columns, "question", "repeats", "interval", "studies", "covered", *numbers]
    named = len(columns) + 3
    cells: list[list[str]] = []
    for record in records:
        setting = [record["setting"][name] for name in columns]
        for cell in record["cells"]:
            what = [cell["question"], cell["repeats"], cell["candidate"]]
            made = cell["studies"] - cell["undefined"]
            rounded = [f"{cell[name]:.5f}" for name in numbers]
            row = [str(x) for x in (*setting, *what, made, cell["covered"], *rounded)]
            cells.append(row)
    again = {tuple(row[:named]) for row in cells}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            kept = [row for row in list(csv.reader(file))[1:] if tuple(row[:named]) not in again]
            cells = kept + cells
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows(sorted(cells, key=lambda row: row[: len(columns)]))


def main() -> None:
    """Runs grids, or shows what was run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", choices=sorted(GRIDS), action="append", default=[])
    parser.add_argument("--quick", action="store_true", help="two settings, a minute")
    parser.add_argument("--studies", type=int, help="a setting, in place of the grid's own number")
    parser.add_argument(
        "--drawn-each", type=int, default=DRAWN_EACH, help="every how many have those of draws"
    )
    parser.add_argument("--show", action="store_true", help="print what --out holds, run nothing")
    parser.add_argument("--out", type=Path, default=None, help="folder of results, to go on later")
    parser.add_argument("--csv", type=Path, default=None, help="put all cells into one table")
    arguments = parser.parse_args()
    records = []
    if arguments.show:
        files = sorted(arguments.out.glob("*.json")) if arguments.out else []
        records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    names = [] if arguments.show else (["quick"] if arguments.quick else arguments.grid)
    for name in names:
        settings, studies = GRIDS[name]
        for setting in settings:
            run_one = functools.partial(
                run, setting, arguments.studies or studies, arguments.drawn_each
            )
            records.append(_kept(setting, run_one, arguments.out))
            if not arguments.quick:
                click.echo(f"{setting.name}: done")
    if arguments.csv is not None:
        write_table(records, arguments.csv)
    for record in records:
        for line in lines(record):
            click.echo(line)
    for line in summary(records):
        click.echo(line)


def _kept(
    setting: Setting, run_one: Callable[[], dict[str, Any]], folder: Path | None
) -> dict[str, Any]:
    """The result of a setting, from its file where there is one."""
    file = None if folder is None else folder / f"{setting.name}.json"
    if file is not None and file.exists():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    record = run_one()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".part")
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        temporary.replace(file)
    return record


if __name__ == "__main__":
    main()
