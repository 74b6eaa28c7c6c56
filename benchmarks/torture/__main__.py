"""Runs the trials and prints what became of them.

    python -m benchmarks.torture --minutes 20

Ends with exit code 1 if any trial changed a result silently, showed a traceback, hung or crashed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import click

# Before anything computes: a process with threads cannot be forked safely.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"):
    os.environ[_name] = "1"

from benchmarks.torture import bundles, damage, disks, inputs  # noqa: E402
from benchmarks.torture.children import BAD, Outcome  # noqa: E402
from benchmarks.torture.material import Material, make  # noqa: E402

Trials = Callable[[Material, random.Random], Iterator[tuple[str, Outcome]]]
KINDS: dict[str, tuple[str, Trials]] = {
    "damage": ("damaged files of a run", damage.trials),
    "disks": ("failing disks", disks.trials),
    "inputs": ("hostile inputs", inputs.trials),
    "bundles": ("spoilt bundles", bundles.trials),
}

SHARES = {"disks": 3}
"""Of the time; a trial on a failing disk is a whole command, and its repetition."""


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS, action="append")
    parser.add_argument("--work", type=Path, default=Path("/tmp/melafuse-torture"))
    options = parser.parse_args()
    chosen = options.only or list(KINDS)
    if "disks" in chosen and not disks.with_faults():
        click.echo("failing disks: left out, they need Linux and a C compiler")
        chosen.remove("disks")
    material = _made(options.work)
    fates: dict[str, Counter[str]] = defaultdict(Counter)
    details: dict[str, Counter[str]] = defaultdict(Counter)
    running = {k: KINDS[k][1](material, random.Random(f"{options.seed} {k}")) for k in chosen}
    spent = dict.fromkeys(chosen, 0.0)
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        kind = min(spent, key=lambda k: spent[k] / SHARES.get(k, 1))
        began = time.monotonic()
        name, outcome = next(running[kind])
        spent[kind] += time.monotonic() - began
        fates[kind][outcome.fate] += outcome.count
        details[kind][f"{name}: {outcome.fate}"] += outcome.count
        if outcome.fate in BAD:
            click.echo(f"{KINDS[kind][0]}, {name}: {outcome.fate}: {outcome.text}")
    _print(fates, details, options.minutes)
    return int(any(counts[fate] for counts in fates.values() for fate in BAD))


def _made(root: Path) -> Material:
    """The material, made in a process of its own: computing starts threads."""
    child = os.fork()
    if not child:
        try:
            make(root)
            code = 0
        except BaseException as error:
            click.echo(f"cannot make the study: {error!r}", err=True)
            code = 1
        os._exit(code)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
    return Material(root, root / "run", root / "bundle")


def _print(
    fates: dict[str, Counter[str]], details: dict[str, Counter[str]], minutes: float
) -> None:
    click.echo(f"\n{minutes:g} minutes\n")
    columns = ("right", "refused", *BAD)
    click.echo(f"| {'trials':<26} | {'n':>6} | " + " | ".join(f"{c:>9}" for c in columns) + " |")
    click.echo(f"|{'-' * 28}|{'-' * 7}:|" + "".join(f"{'-' * 10}:|" for _ in columns))
    for kind, counts in fates.items():
        cells = " | ".join(f"{counts[c]:>9}" for c in columns)
        click.echo(f"| {KINDS[kind][0]:<26} | {sum(counts.values()):>6} | {cells} |")
    for kind, counts in details.items():
        click.echo(f"\n{KINDS[kind][0]}:")
        for name, n in sorted(counts.items()):
            click.echo(f"  {n:>6}  {name}")


if __name__ == "__main__":
    sys.exit(main())
