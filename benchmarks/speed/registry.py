"""All benchmarks: each a module with `measure(quick)`, which returns its figures.

A new benchmark is one module and one line here. `quick` means sizes that take seconds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from benchmarks.speed.figures import Figure

BENCHMARKS = {
    "store": "benchmarks.speed.store",
    "opening": "benchmarks.speed.opening",
    "memory": "benchmarks.speed.memory",
    "bootstrap": "benchmarks.speed.bootstrap",
    "calibration": "benchmarks.speed.calibration",
    "copies": "benchmarks.speed.copies",
    "folds": "benchmarks.speed.folds",
    "heads": "benchmarks.speed.heads",
    "boosting": "benchmarks.speed.boosting",
    "extraction": "benchmarks.speed.extraction",
}
"""By name, where it is."""


def find(name: str) -> Callable[[bool], list[Figure]]:
    """What measures it; its module is imported now, and no other."""
    measure: Callable[[bool], list[Figure]] = importlib.import_module(BENCHMARKS[name]).measure
    return measure
