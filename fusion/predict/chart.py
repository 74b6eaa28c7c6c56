"""The chart of contributions as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from fusion.predict.explain import Contribution

MOST = 15
_RAISES, _LOWERS = "#b3472e", "#2f6690"


def contributions_chart(
    contributions: Sequence[Contribution], record: Mapping[str, Any], title: str, what: str
) -> bytes:
    """Draws the largest contributions, what raises the risk to the right.

    Args:
        contributions: The largest first.
        record: The prediction, for the notes that must stand on the chart.
        title: Outcome and score.
        what: What contributions are differences of.
    """
    shown = list(contributions[:MOST])[::-1]
    figure = Figure(figsize=(7.2, 1.7 + 0.32 * max(1, len(shown))), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    changes = [c.change for c in shown]
    axes.barh(range(len(shown)), changes, color=[_RAISES if c > 0 else _LOWERS for c in changes])
    axes.set_yticks(range(len(shown)), [f"{c.name}: {c.value}"[:60] for c in shown])
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set_xlabel(f"{what} with the input minus those without it")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.suptitle(title, fontsize=11)
    note = " ".join([record["disclaimer"], *([record["watermark"]] if record["watermark"] else [])])
    figure.text(0.01, 0.01, note, fontsize=6.5, color="#555555", wrap=True)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
