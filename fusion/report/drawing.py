"""How figures are drawn: one style, and SVG text that is the same every time."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

# Okabe & Ito's colours, which people with colour-vision deficiencies tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#767676"
LONGEST = 40
"""Letters of a name beside or below a drawing."""
WIDTH = 5.8
"""Inches; narrow, so that text can be read on a phone, where a figure is as wide as the page."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "melafuse",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: File name without ending.
        title: Heading.
        caption: What it shows, and how to read it.
        svg: The drawing.
        data: The numbers that are drawn, in long form.
    """

    name: str
    title: str
    caption: str
    svg: str
    data: pd.DataFrame


def fitting(name: str) -> str:
    """A name that leaves room for the drawing; of a long one its beginning and its end."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half:]}"


def tall(rows: int) -> float:
    """Height in inches of a figure with a line of text a row."""
    return 1.0 + 0.27 * rows


def svg(draw: Callable[[Axes], None], height: float = 4.6, width: float = WIDTH) -> str:
    """Draws on one set of axes; the same drawing gives the same bytes."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(width, height), layout="constrained")
        draw(canvas.add_subplot())
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def intervals(axes: Axes, data: pd.DataFrame, name: str, label: str) -> None:
    """One row a value with its interval, and a line at zero.

    Args:
        axes: Where to draw.
        data: Columns `value`, `low`, `high`, and the one of names.
        name: Column of names.
        label: Of the values.
    """
    rows = np.arange(len(data))
    axes.hlines(rows, data["low"], data["high"], color=COLOURS[0], lw=2)
    axes.plot(data["value"], rows, "s", color=COLOURS[0], ms=6)
    axes.axvline(0, color=GREY, lw=1, ls=":")
    axes.set_yticks(range(len(data)), [fitting(n) for n in data[name]])
    axes.set_ylim(len(data) - 0.5, -0.5)
    axes.set_xlabel(label)


def legend_below(axes: Axes) -> None:
    """A legend that takes room of its own, below everything, so that nothing lies under it."""
    labelled = axes.get_legend_handles_labels()
    axes.figure.legend(*labelled, loc="outside lower center")
