"""Measures everything beside its baselines, prints a table and writes JSON.

    python -m benchmarks [NAME ...] [--quick] [--json build/bench.json]

Every figure is made in this process, baseline and own work in turn. Others that work on the machine
spoil times on the clock, less so those of the processor; how many of its cores they kept busy
stands beside each figure. A `?` is a figure of other sizes than the goal's.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from benchmarks.speed.figures import Business, Figure
from benchmarks.speed.registry import BENCHMARKS, find
from extractor.cores import usable_cores

PACKAGES = ("numpy", "h5py", "torch", "lightgbm", "optuna", "scikit-learn", "pandas")


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Small sizes: under five minutes.")
@click.option("--json", "out", type=click.Path(path_type=Path), default=Path("build/bench.json"))
def main(names: tuple[str, ...], quick: bool, out: Path) -> None:
    """Measures what is named, or everything."""
    record: dict[str, Any] = {"quick": quick, "machine": _machine(), "figures": []}
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHMARKS:
        business = Business()
        figures = find(name)(quick)
        others = business.others()
        for figure in figures:
            click.echo(_line(figure, others))
            record["figures"].append(
                dataclasses.asdict(figure)
                | {"name": name, "load_before": business.load, "others_busy_cores": others}
            )
        out.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(f"wrote {out}")


def _line(figure: Figure, others: float) -> str:
    met = {True: "met", False: "NOT met", None: "?"}[figure.met]
    beside = f", beside {figure.baseline}" if figure.baseline else ""
    return (
        f"{figure.row:>3}  {figure.what}{beside}: {figure.value:.3g} {figure.unit} "
        f"(goal {figure.goal}: {met}; others kept {others:.1f} cores busy)"
    )


def _machine() -> dict[str, Any]:
    return {
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    main()
