"""Draws how times grow: one small plot a series, on logarithmic axes."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusion.report.drawing import COLOURS, GREY, STYLE

COLUMNS = 2


@dataclasses.dataclass(frozen=True)
class Series:
    """Times of one thing at several sizes.

    Attributes:
        what: What was done.
        along: What there was more of.
        sizes: How many.
        seconds: Of each size; of the processor, if `clock` says nothing else.
        clock: Which clock.
    """

    what: str
    along: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    clock: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Series:
        """From plain JSON."""
        sizes, seconds = tuple(record["sizes"]), tuple(record["seconds"])
        return cls(record["what"], record["along"], sizes, seconds, record["clock"])

    @property
    def doubling(self) -> float:
        """What twice as many multiply the time by: the slope of a line through the logarithms."""
        return float(2 ** np.polyfit(np.log2(self.sizes), np.log2(self.seconds), 1)[0])


def drawing(series: Sequence[Series]) -> str:
    """SVG of all series; the same numbers give the same bytes."""
    rows = math.ceil(len(series) / COLUMNS)
    with mpl.rc_context(STYLE):
        canvas = Figure(figsize=(7.2, 2.1 * rows), layout="constrained")
        for place, one in enumerate(series, start=1):
            _draw(canvas.add_subplot(rows, COLUMNS, place), one)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _draw(axes: Axes, series: Series) -> None:
    """The points; in grey times in proportion to the number, or to one over that of processes."""
    relative = np.array(series.sizes) / series.sizes[0]
    ideal = series.seconds[0] * (1 / relative if series.clock else relative)
    axes.plot(series.sizes, ideal, color=GREY, lw=1, ls=":")
    axes.plot(series.sizes, series.seconds, "o-", color=COLOURS[0], ms=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(series.sizes, [f"{size:,}" for size in series.sizes])
    ends = series.seconds[0], series.seconds[-1]
    axes.set_yticks(ends, [f"{seconds:.2g}" for seconds in ends])
    axes.minorticks_off()
    axes.set_xlabel(series.along)
    axes.set_ylabel(f"s {series.clock}".strip())
    axes.set_title(f"{series.what}\ntwice as many: {series.doubling:.1f} times", fontsize=9)
