"""What is measured: one thing, beside a baseline that does the same another way."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured thing.

    Attributes:
        row: Row of the table that the figure is for.
        what: What was done, with its sizes.
        goal: What was aimed at, in words.
        value: What was measured, in `unit`.
        unit: `s`, `GB` or `x`: time of the baseline over own time.
        met: Whether the goal is met; None where the sizes are not those of the goal.
        baseline: What the baseline is, in words; empty without one.
        details: Further numbers, by name.
    """

    row: int
    what: str
    goal: str
    value: float
    unit: str
    met: bool | None = None
    baseline: str = ""
    details: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Took:
    """Times of one call, in seconds: on the clock, and of the processor."""

    wall: float
    cpu: float


def timed(call: Callable[[], Any]) -> Took:
    """Times one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def paired(baseline: Callable[[], Any], own: Callable[[], Any], repeats: int) -> tuple[Took, Took]:
    """Calls both in turn and keeps the fastest of each, so that both meet the same machine."""
    found = [(timed(baseline), timed(own)) for _ in range(repeats)]
    first, second = zip(*found, strict=True)
    return _fastest(first), _fastest(second)


def details(baseline: Took, own: Took) -> dict[str, float]:
    """The four times, by name."""
    return {
        "baseline_wall_s": baseline.wall,
        "baseline_cpu_s": baseline.cpu,
        "own_wall_s": own.wall,
        "own_cpu_s": own.cpu,
        "wall_ratio": baseline.wall / own.wall,
        "cpu_ratio": baseline.cpu / own.cpu,
    }


def _fastest(took: tuple[Took, ...]) -> Took:
    return Took(min(one.wall for one in took), min(one.cpu for one in took))


class Business:
    """How busy the machine was with others while something ran.

    Attributes:
        load: Load average of a minute, at the beginning.
    """

    def __init__(self) -> None:
        self.load = os.getloadavg()[0]
        self._busy, self._wall, self._own = _busy(), time.perf_counter(), _own()

    def others(self) -> float:
        """Processors that others kept busy, on average since the beginning; NaN if unknown."""
        wall = time.perf_counter() - self._wall
        return ((_busy() - self._busy) - (_own() - self._own)) / wall


def _own() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _busy() -> float:
    """Seconds that all processors together were not idle since the machine started."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return float("nan")
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
