"""The forest of all arms: the first figure of a report of any kind."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from fusion.evidence import Arm, Evidence
from fusion.report.drawing import COLOURS, GREY, Figure, fitting, svg, tall

MARKERS = {"arm": "s", "reference": "D", "floor": "o"}
"""Shapes and not colours tell kinds apart, so that the figure can be read in grey."""

NARROW = 4.4
"""Inches: model names are short, and every letter counts on a phone."""

EVERY = 3
"""Modalities from which on a heading counts them instead of naming them."""


def forest(evidence: Evidence, metric: str, label: str) -> Figure:
    """Every arm with its interval, in groups that see the same; a line at the reference.

    Args:
        evidence: The evidence.
        metric: Name of the headline metric.
        label: The same for people.
    """
    groups = _groups(evidence)
    arms = [(group, arm) for group, own in groups.items() for arm in own]
    data = pd.DataFrame(
        [
            {
                "group": group,
                "arm": arm.arm,
                "kind": arm.kind,
                "value": arm.metrics[metric].value,
                "low": arm.metrics[metric].low,
                "high": arm.metrics[metric].high,
            }
            for group, arm in arms
        ]
    )
    line = next(a.metrics[metric].value for a in evidence.arms if a.arm == evidence.baseline)
    best = evidence.verdict.best

    def draw(axes: Axes) -> None:
        place, ticks, names, bold = 0.0, [], [], []
        for group, own in groups.items():
            ticks.append(place)
            names.append(fitting(group))
            bold.append(len(ticks) - 1)
            for arm in own:
                place += 1
                _mark(axes, arm, metric, place, heavy=arm.arm in (best, evidence.baseline))
                ticks.append(place)
                names.append(f"  {arm.model}")
            place += 1.4
        axes.axvline(line, color=COLOURS[0], lw=1, ls="--")
        axes.axvline(0.5, color=GREY, lw=1, ls=":")
        axes.set_yticks(ticks, names)
        axes.tick_params(axis="y", length=0)
        for place_of in bold:
            axes.get_yticklabels()[place_of].set_fontweight("bold")
        axes.set_ylim(place - 0.6, -0.8)
        axes.set_xlabel(f"{label} with 95 % interval")
        axes.spines["left"].set_visible(False)

    caption = (
        f"{label} of every arm with 95 % interval, in groups that see the same. Squares: arms; "
        "diamonds: clinical references; circles: floors, which know nothing. Filled: the best arm "
        f"and the reference. Dashed: {evidence.baseline}, the reference. Dotted: chance."
    )
    rows = len(arms) + int(1.4 * len(groups))
    return Figure("arms", "All arms", caption, svg(draw, 0.85 * tall(rows), NARROW), data)


def _mark(axes: Axes, arm: Arm, metric: str, place: float, heavy: bool) -> None:
    found = arm.metrics[metric]
    axes.hlines(place, found.low, found.high, color="#333333", lw=2 if heavy else 1.2)
    axes.plot(
        found.value,
        place,
        MARKERS[arm.kind],
        color="#111111",
        mfc="#111111" if heavy else "white",
        ms=5.5,
    )


def _groups(evidence: Evidence) -> dict[str, list[Arm]]:
    """Arms by what they see, the groups and the arms in them by their place in the leaderboard."""
    found: dict[str, list[Arm]] = {}
    most = max(len(arm.modalities) for arm in evidence.arms)
    for arm in evidence.arms:
        several = len(arm.modalities)
        name = " + ".join(arm.modalities)
        if arm.kind == "floor":
            name = "floors"
        elif several >= EVERY:
            name = f"all {several} modalities" if several == most else name
        found.setdefault(name, []).append(arm)
    return found
