"""A small cohort with ties, delayed entry and competing events, and what R says about it.

`cohort.csv` was drawn once by `fusion.metrics.survival.simulation` (120 rows, effect 1, competing
0.5, censoring 0.13, late 0.45); times in steps of 0.25 and, as `fine_…`, without ties between
events. `reference.tsv` holds what `Rscript reference.R cohort.csv` printed: the calls are there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fusion.metrics.survival.times import Times, checked_times

HERE = Path(__file__).parent
AT = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 6.0])
HORIZON = 4.0


def columns() -> dict[str, np.ndarray]:
    """The columns of cohort.csv."""
    table = np.genfromtxt(HERE / "cohort.csv", delimiter=",", names=True)
    return {name: table[name].copy() for name in table.dtype.names or ()}


COHORT = columns()


def coarse(entry: bool = False) -> Times:
    """Times with many ties."""
    return checked_times(
        COHORT["time"], COHORT["event"], COHORT["entry"] if entry else None, codes=(0, 1, 2)
    )


def fine(entry: bool = False) -> Times:
    """Times of which hardly two are equal."""
    return checked_times(
        COHORT["fine_time"],
        COHORT["event"],
        COHORT["fine_entry"] if entry else None,
        codes=(0, 1, 2),
    )


def parsed(text: str) -> dict[str, np.ndarray]:
    """Lines of a name, a tab and numbers."""
    lines = (line.split("\t") for line in text.splitlines())
    return {name: np.array([_number(x) for x in values.split()]) for name, values in lines}


def _number(text: str) -> float:
    return float("nan") if text == "NA" else float(text)


R = parsed((HERE / "reference.tsv").read_text(encoding="utf-8"))
