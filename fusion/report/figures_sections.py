"""Figures of the sections that follow the ablation."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from fusion.evidence import Evidence
from fusion.report.drawing import COLOURS, GREY, Figure, intervals, legend_below, svg, tall


def draw_sections(evidence: Evidence, metric: str) -> list[Figure]:
    """Draws every figure that the evidence has data for; `metric` is the headline, for people."""
    figures = [
        _group_loss(evidence, metric),
        _learning_curve(evidence, metric),
        _importance(evidence, metric),
        _tuning_history(evidence, metric),
    ]
    return [figure for figure in figures if figure is not None]


def _group_loss(evidence: Evidence, metric: str) -> Figure | None:
    data = pd.DataFrame(
        [
            {
                "group": f"{g.model}: {g.group}",
                "value": g.loss.value,
                "low": g.loss.low,
                "high": g.loss.high,
            }
            for g in evidence.group_losses
        ]
    )
    if data.empty:
        return None
    return Figure(
        "group_loss",
        f"{metric} lost without each group",
        f"{metric} on everything minus {metric} of the model fitted without the group, with 95 % "
        "interval. Right of zero: the group helps.",
        svg(lambda axes: intervals(axes, data, "group", f"{metric} lost"), tall(len(data))),
        data,
    )


def _learning_curve(evidence: Evidence, metric: str) -> Figure | None:
    data = pd.DataFrame(
        [
            {
                "model": p.model,
                "share": p.share,
                "value": p.headline.value,
                "low": p.headline.low,
                "high": p.headline.high,
            }
            for p in evidence.learning_curve
        ]
    )
    if data.empty:
        return None

    def draw(axes: Axes) -> None:
        for (model, rows), colour in zip(data.groupby("model"), COLOURS, strict=False):
            bounds = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
            axes.errorbar(
                100 * rows["share"],
                rows["value"],
                bounds,
                fmt="o-",
                color=colour,
                capsize=3,
                label=str(model),
            )
        axes.set(xlabel=f"training {evidence.noun.many} used, %", ylabel=metric, xlim=(0, 105))
        legend_below(axes)

    caption = (
        f"{metric} on the same test {evidence.noun.many} after fitting on fewer, with 95 % "
        "interval."
    )
    return Figure("learning_curve", "Learning curve", caption, svg(draw, 3.4), data)


def _importance(evidence: Evidence, metric: str) -> Figure | None:
    """Permutation importance of the arms that see most, in a metric."""
    most = max(len(a.modalities) for a in evidence.arms)
    widest = {a.arm for a in evidence.arms if len(a.modalities) == most}
    data = pd.DataFrame(
        [
            {"arm": b.arm, "group": b.block, "lost": b.lost, "least": b.least, "most": b.most}
            for b in evidence.importances
            if b.arm in widest
        ]
    )
    if data.empty:
        return None
    arms = list(dict.fromkeys(data["arm"]))[: len(COLOURS)]
    groups = list(dict.fromkeys(data["group"]))
    step = 0.8 / len(arms)

    def draw(axes: Axes) -> None:
        for k, (arm, colour) in enumerate(zip(arms, COLOURS, strict=False)):
            rows = data[data["arm"] == arm].set_index("group").reindex(groups)
            y = [i + step * (k - (len(arms) - 1) / 2) for i in range(len(groups))]
            axes.hlines(y, rows["least"], rows["most"], color=colour, lw=1, alpha=0.5)
            axes.plot(rows["lost"], y, "o", color=colour, ms=5, label=arm)
        axes.axvline(0, color=GREY, lw=1, ls=":")
        axes.set_yticks(range(len(groups)), groups)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set_xlabel(f"{metric} lost when exchanged between test {evidence.noun.many}")
        legend_below(axes)

    caption = "Permutation importance of each group: mean over folds, line from lowest to highest."
    height = tall(int(1.4 * len(groups)) + len(arms))
    return Figure("importance", "What the models lean on", caption, svg(draw, height), data)


def _tuning_history(evidence: Evidence, metric: str) -> Figure | None:
    """The best trial so far of every study, in a metric."""
    rows = [
        {"arm": t.arm, "fold": fold, "trial": trial + 1, "best": best}
        for t in evidence.tuning
        for fold, curve in enumerate(t.best_so_far)
        for trial, best in enumerate(curve)
    ]
    data = pd.DataFrame(rows)
    if data.empty:
        return None

    def draw(axes: Axes) -> None:
        for (arm, found), colour in zip(data.groupby("arm", sort=False), COLOURS, strict=False):
            for _, fold in found.groupby("fold"):
                axes.step(
                    fold["trial"], fold["best"], where="post", color=colour, lw=0.7, alpha=0.4
                )
            mean = found.groupby("trial")["best"].mean()
            axes.step(mean.index, mean, where="post", color=colour, lw=2, label=str(arm))
        axes.set(xlabel="trial", ylabel=f"best inner {metric} so far")
        legend_below(axes)

    caption = (
        "Optimisation history: light, the study of each outer fold; bold, their mean. Inner "
        f"{metric} selects and is no result."
    )
    return Figure("tuning", "Optimisation history", caption, svg(draw), data)
