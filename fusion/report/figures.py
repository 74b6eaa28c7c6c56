"""Figures as SVG text and the data behind them; the same evidence gives the same bytes."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fusion.evaluation.ladder import METRICS
from fusion.evidence import Arm, ArmEvidence, BinaryEvidence, Evidence
from fusion.metrics.curves import Curve
from fusion.report.drawing import COLOURS, GREY, Figure, fitting, intervals, svg, tall
from fusion.report.forest import forest
from fusion.report.numbers import number
from fusion.report.tables import tidy_ladder

A = TypeVar("A", bound=Arm)


def draw_all(evidence: BinaryEvidence) -> list[Figure]:
    """Draws every figure that the evidence has data for."""
    arms = shown_arms(evidence.baseline, evidence.arms)
    leading = next(a for a in evidence.arms if a.arm == evidence.baseline)
    shown = f"Heavy: {leading.arm}; light: other arms of {leading.model}, and reference models."
    figures = [
        forest(evidence, "auroc", "AUROC"),
        gains(evidence, "ΔAUROC"),
        _forest(evidence),
        strip(evidence.per_fold, [a.arm for a in evidence.arms], "auroc", "AUROC"),
        _roc(evidence, arms, shown),
        _precision_recall(evidence, arms, shown),
        _calibration(evidence, arms, shown),
        _decision(evidence, arms, shown),
        training(evidence),
        fine_tuning(evidence),
        _ladder(evidence),
    ]
    return [figure for figure in figures if figure is not None]


def shown_arms(baseline: str, arms: Sequence[A]) -> list[A]:
    """The baseline, then reference models and arms of its model while colours last."""
    leading = next(a for a in arms if a.arm == baseline)
    others = [
        a for a in arms if a is not leading and (a.model == leading.model or a.kind == "reference")
    ]
    references_first = sorted(others, key=lambda a: a.kind != "reference")[: len(COLOURS) - 1]
    return [leading, *(a for a in others if a in references_first)]


def gains(evidence: Evidence, difference: str) -> Figure | None:
    """What fusion adds; `difference` is what the gains are, for people."""
    rows = [(f"{g.model}: all − {g.modality}", g.delta) for g in evidence.fusion_gain]
    if not rows:
        return None
    data = pd.DataFrame(
        [{"comparison": n, "value": d.value, "low": d.low, "high": d.high} for n, d in rows]
    )
    return Figure(
        "fusion_gain",
        "What fusion adds to each single modality",
        f"{difference} of the model on all modalities against the same model on one, with 95 % "
        "interval. Right of zero: fusion adds.",
        svg(lambda axes: intervals(axes, data, "comparison", difference), height=tall(len(data))),
        data,
    )


def _forest(evidence: BinaryEvidence) -> Figure | None:
    rows = [(a.arm, a.differences["auroc"].estimate) for a in evidence.arms if a.differences]
    if not rows:
        return None
    data = pd.DataFrame(
        [{"arm": n, "value": d.value, "low": d.low, "high": d.high} for n, d in rows]
    )
    return Figure(
        "delta_auroc",
        "Difference in AUROC to the baseline",
        f"Each arm minus {evidence.baseline}, paired, with 95 % interval.",
        svg(lambda axes: intervals(axes, data, "arm", "ΔAUROC"), height=tall(len(data))),
        data,
    )


def strip(per_fold: pd.DataFrame, names: Sequence[str], metric: str, label: str) -> Figure:
    """A metric of every outer fold, one line an arm.

    Args:
        per_fold: One row an arm, repeat and fold.
        names: The arms, from the top.
        metric: Column of `per_fold`; 0.5 of it is no discrimination.
        label: What it is called.
    """
    data = per_fold[["arm", "repeat", "fold", metric]]

    def draw(axes: Axes) -> None:
        for k, name in enumerate(names):
            values = data.loc[data["arm"] == name, metric]
            axes.plot(values, np.full(len(values), k), "o", color=COLOURS[0], alpha=0.6, ms=5)
        axes.axvline(0.5, color=GREY, lw=1, ls=":")
        axes.set_yticks(range(len(names)), [fitting(n) for n in names])
        axes.invert_yaxis()
        axes.set_xlabel(f"{label} of one outer fold")

    caption = "One dot an outer fold. Dotted: no discrimination."
    return Figure("folds", "Spread over folds", caption, svg(draw, tall(len(names))), data)


def _roc(evidence: BinaryEvidence, arms: list[ArmEvidence], shown: str) -> Figure:
    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
        _lines(axes, [(_with_area(a), a.roc) for a in arms], _with_area(arms[0]))
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))

    caption = f"Out-of-fold ROC curves with AUROC; band: 95 %. {shown}"
    return Figure("roc", "ROC", caption, svg(draw), _curve_data(arms, "roc"))


def _precision_recall(evidence: BinaryEvidence, arms: list[ArmEvidence], shown: str) -> Figure:
    def draw(axes: Axes) -> None:
        axes.axhline(evidence.run.prevalence, color=GREY, lw=1, ls=":")
        _lines(axes, [(fitting(a.arm), a.pr) for a in arms], fitting(evidence.baseline))
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))

    caption = f"Out-of-fold precision–recall curves; band: 95 %. Dotted: prevalence. {shown}"
    return Figure(
        "precision_recall", "Precision–recall", caption, svg(draw), _curve_data(arms, "pr")
    )


def _calibration(evidence: BinaryEvidence, arms: list[ArmEvidence], shown: str) -> Figure:
    chosen = next(a for a in evidence.arms if a.arm == evidence.baseline)
    bins, many = chosen.calibration, evidence.noun.many
    data = pd.DataFrame({"arm": chosen.arm, **dataclasses.asdict(bins)})

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
        bounds = np.abs(np.stack([bins.observed - bins.low, bins.high - bins.observed]))
        axes.errorbar(bins.predicted, bins.observed, bounds, fmt="o-", color=COLOURS[0], capsize=2)
        share = bins.count / bins.count.sum()
        axes.bar(bins.predicted, share, width=0.02, color=COLOURS[5], alpha=0.7, zorder=0)
        axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))

    caption = (
        f"Calibration of {chosen.arm} in bins of equal size over the predictions of all repeats, "
        f"with 95 % Wilson intervals of the {many}. Bars: share of {many} in the bin. "
        "Dotted: perfect."
    )
    return Figure("calibration", "Calibration", caption, svg(draw), data)


def _decision(evidence: BinaryEvidence, arms: list[ArmEvidence], shown: str) -> Figure:
    prevalence = evidence.run.prevalence

    def draw(axes: Axes) -> None:
        x = arms[0].decision.x
        everyone = prevalence - (1 - prevalence) * x / (1 - x)
        axes.plot(x, everyone, color=GREY, lw=1, ls="--", label="treat all")
        axes.axhline(0, color=GREY, lw=1, ls=":", label="treat none")
        _lines(axes, [(fitting(a.arm), a.decision) for a in arms], fitting(evidence.baseline))
        axes.set(
            xlabel="threshold probability",
            ylabel="net benefit",
            xlim=(0, min(1.0, 3 * prevalence)),
            ylim=(-0.05, prevalence * 1.1),
        )

    caption = f"Decision curves (Vickers & Elkin 2006): higher is better; band: 95 %. {shown}"
    return Figure("decision", "Decision curve", caption, svg(draw), _curve_data(arms, "decision"))


def training(evidence: Evidence) -> Figure | None:
    """Training curves of the baseline, or of the first arm that has them."""
    history = evidence.history
    if history.empty:
        return None
    arm = (
        evidence.baseline if (history["arm"] == evidence.baseline).any() else history["arm"].iloc[0]
    )
    data = history[history["arm"] == arm]
    keys = [k for k in ("repeat", "fold", "member") if k in data]
    known = ("train_loss", "validation_loss", "validation_auroc", "validation_concordance")
    curves = [c for c in known if c in data and data[c].notna().any()]

    def draw(axes: Axes) -> None:
        for curve, colour in zip(curves, COLOURS, strict=False):
            for _, run in data.groupby(keys):
                axes.plot(run["epoch"], run[curve], color=colour, lw=0.6, alpha=0.3)
            mean = data.groupby("epoch")[curve].mean()
            axes.plot(mean.index, mean, color=colour, lw=2, label=curve.replace("_", " "))
        axes.set(xlabel="epoch", ylabel="loss, AUROC or concordance")
        axes.legend()

    caption = (
        f"Training of {arm}: light, each fold and ensemble member; bold, their mean over those "
        f"that still train. Validation is inner: no outer test {evidence.noun.one} is in it."
    )
    return Figure("training", "Training curves", caption, svg(draw), data)


def fine_tuning(evidence: Evidence) -> Figure | None:
    """Training curves of fine-tuned encoders."""
    data = evidence.encoder_history
    if data.empty:
        return None

    def draw(axes: Axes) -> None:
        for (encoder, runs), colour in zip(data.groupby("encoder"), COLOURS, strict=False):
            for _, run in runs.groupby(["repeat", "fold"], dropna=False):
                axes.plot(run["epoch"], run["validation_auroc"], color=colour, lw=0.8, alpha=0.5)
            kept = runs[runs["kept"]]
            axes.plot(kept["epoch"], kept["validation_auroc"], "o", color=colour, ms=6)
            mean = runs.groupby("epoch")["validation_auroc"].mean()
            axes.plot(mean.index, mean, color=colour, lw=2, label=str(encoder))
        axes.set(xlabel="epoch", ylabel="inner-validation AUROC")
        axes.legend()

    caption = (
        "Fine-tuning of the encoders: light, each fold; bold, their mean over those that still "
        "train; dots, the epochs that were kept. Validation is inner: it selects, and no outer "
        f"test {evidence.noun.one} is in it, so these are not results."
    )
    return Figure("fine_tuning", "Fine-tuning", caption, svg(draw), data)


def _ladder(evidence: BinaryEvidence) -> Figure | None:
    if evidence.ladder is None:
        return None
    data = tidy_ladder(evidence)
    names = [rung.title for rung in evidence.ladder.rungs]

    def draw(axes: Axes) -> None:
        for k, (metric, colour) in enumerate(zip(METRICS, COLOURS, strict=False)):
            rows = data[data["metric"] == metric]
            y = np.arange(len(rows)) + 0.22 * (k - 1)
            axes.hlines(y, rows["low"], rows["high"], color=colour, lw=2)
            axes.plot(rows["value"], y, "o", color=colour, ms=5, label=metric)
            claimed = rows["claimed"].iloc[0]
            if claimed is not None and np.isfinite(claimed):
                axes.axvline(claimed, color=colour, lw=1, ls=":")
        axes.set_yticks(range(len(names)), [textwrap.fill(name, 30) for name in names])
        axes.invert_yaxis()
        axes.set(xlabel="value with 95 % interval", xlim=(0, 1.02))
        axes.legend(loc="lower left")

    caption = (
        "What remains of a label-matched result when one thing after the other is taken away; "
        "dotted, what was claimed."
    )
    return Figure("ladder", "Linkage ladder", caption, svg(draw, 5.4), data)


def _lines(axes: Axes, curves: list[tuple[str, Curve]], leading: str) -> None:
    """One line a curve; the leading one is heavier, with its band."""
    for (name, curve), colour in zip(curves, COLOURS, strict=False):
        width, above = (2.4, 3) if name == leading else (1.2, 2)
        axes.plot(curve.x, curve.y, color=colour, lw=width, zorder=above, label=name)
        if name == leading and curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))


def _with_area(arm: ArmEvidence) -> str:
    return f"{fitting(arm.arm)}: {number(arm.metrics['auroc'].value)}"


def _curve_data(arms: list[ArmEvidence], field: str) -> pd.DataFrame:
    parts = []
    for arm in arms:
        curve: Curve = getattr(arm, field)
        columns = {"arm": arm.arm, "x": curve.x, "y": curve.y}
        if curve.low is not None and curve.high is not None:
            columns |= {"low": curve.low, "high": curve.high}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
