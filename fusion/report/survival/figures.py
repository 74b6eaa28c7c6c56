"""Figures of a report on times to an event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fusion.evidence.spans import YEAR, span
from fusion.evidence.survival import RiskGroups, SurvivalArm, SurvivalEvidence, at
from fusion.metrics.curves import Curve
from fusion.report.drawing import COLOURS, GREY, Figure, fitting, intervals, svg, tall
from fusion.report.figures import fine_tuning, gains, shown_arms, strip, training
from fusion.report.figures_sections import draw_sections
from fusion.report.forest import forest
from fusion.report.survival.tables import HEADLINE, found, group_name

MONTHS_UNTIL = 2 * YEAR
"""Days of follow-up up to which an axis is in months."""


def draw_all(e: SurvivalEvidence) -> list[Figure]:
    """Draws every figure that the evidence has data for."""
    arms = shown_arms(e.baseline, e.arms)
    figures = [
        forest(e, HEADLINE, "C"),
        gains(e, "ΔC"),
        _forest(e),
        _risk_groups(e),
        _auc(e, arms),
        _brier(e, arms),
        *(_calibration(e, days) for days in e.horizons),
        *(_decision(e, arms, days) for days in e.horizons),
        strip(e.per_fold, [a.arm for a in e.arms], HEADLINE, "C"),
        training(e),
        fine_tuning(e),
        *draw_sections(e, "C"),
    ]
    return [figure for figure in figures if figure is not None]


def calibration_name(days: float) -> str:
    """Name of the calibration plot of a horizon."""
    return f"calibration_{days:g}"


def decision_name(days: float) -> str:
    """Name of the decision curves of a horizon."""
    return f"decision_{days:g}"


def _forest(e: SurvivalEvidence) -> Figure | None:
    tested = [(a.arm, a.differences[HEADLINE].estimate) for a in e.arms if a.differences]
    if not tested:
        return None
    data = pd.DataFrame(
        [{"arm": n, "value": d.value, "low": d.low, "high": d.high} for n, d in tested]
    )
    return Figure(
        "delta_c",
        "Difference in concordance to the baseline",
        f"Each arm minus {e.baseline}, paired, with 95 % interval.",
        svg(lambda axes: intervals(axes, data, "arm", "ΔC"), height=tall(len(data))),
        data,
    )


def _risk_groups(e: SurvivalEvidence) -> Figure:
    shown = e.risk_groups
    unit, scale = _scale(e)
    names = [group_name(k, len(shown.groups)) for k in range(len(shown.groups))]

    def draw(axes: Axes) -> None:
        for group, name, colour in zip(shown.groups, names, _shades(len(names)), strict=False):
            x = group.curve.x / scale
            axes.plot(x, group.curve.y, color=colour, lw=2, label=f"{name} risk")
            _band(axes, x, group.curve, colour)
        ticks = np.array(shown.ticks) / scale
        axes.set_xticks(ticks, [f"{t:.3g}" for t in ticks])
        axes.set(xlabel=unit, ylim=(0, 1.01), xlim=(0, None))
        axes.set_ylabel("had the event" if shown.incidence else "without the event")
        axes.legend(loc="upper left" if shown.incidence else "lower left")
        _numbers_at_risk(axes, shown, ticks, names)

    data = pd.concat(
        [
            _curve(group.curve, group=name, n=group.n)
            for group, name in zip(shown.groups, names, strict=True)
        ],
        ignore_index=True,
    )
    what = "Cumulative incidence (Aalen–Johansen)" if shown.incidence else "Kaplan–Meier curves"
    return Figure(
        "risk_groups",
        "What became of the risk groups",
        f"{what} by risk group of {shown.arm}, cut on inner data of each fold, mean over repeats; "
        "band: 95 %, bootstrap of patients. A curve ends where fewer than five are under "
        "observation. Below: patients under observation.",
        svg(draw, 4.9),
        data,
    )


def _numbers_at_risk(axes: Axes, shown: RiskGroups, ticks: np.ndarray, names: list[str]) -> None:
    """A line a group under the axis, at a distance in points, so that nothing is cut off."""
    below: dict[str, Any] = {
        "xycoords": ("data", "axes fraction"),
        "textcoords": "offset points",
        "va": "top",
    }
    axes.annotate("at risk", (0, 0), (-8, -40), ha="right", color=GREY, **below)
    for k, (group, name) in enumerate(zip(shown.groups, names, strict=True)):
        y, colour = -40 - 13 * (k + 1), _shades(len(names))[k]
        axes.annotate(name, (0, 0), (-22, y), ha="right", color=colour, **below)
        for tick, number in zip(ticks, group.at_risk, strict=True):
            axes.annotate(f"{number:.0f}", (tick, 0), (0, y), ha="center", color=colour, **below)


def _auc(e: SurvivalEvidence, arms: list[SurvivalArm]) -> Figure | None:
    drawn = [(arm, arm.auc) for arm in arms if arm.auc is not None]
    if not drawn:
        return None
    unit, scale = _scale(e)

    def draw(axes: Axes) -> None:
        axes.axhline(0.5, color=GREY, lw=1, ls=":")
        for (arm, curve), colour in zip(drawn, COLOURS, strict=False):
            leading = arm.arm == e.baseline
            x = curve.x / scale
            axes.plot(
                x, curve.y, color=colour, lw=2.4 if leading else 1.2, label=fitting(arm.arm),
                zorder=3 if leading else 2,
            )  # fmt: skip
            _band(axes, x, curve, colour)
        for days in e.horizons:
            axes.axvline(days / scale, color=GREY, lw=0.7, ls="--")
        axes.set(xlabel=unit, ylabel="AUC", xlim=(0, None))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))

    return Figure(
        "auc_over_time",
        "AUC over time",
        "AUC of who has had the event by each time against who is known to be free of it then, of "
        f"one fold; band: 95 %. Heavy: {e.baseline}. Dashed: the horizons. Dotted: no "
        "discrimination.",
        svg(draw),
        pd.concat([_curve(curve, arm=arm.arm) for arm, curve in drawn], ignore_index=True),
    )


def _brier(e: SurvivalEvidence, arms: list[SurvivalArm]) -> Figure | None:
    if not e.horizons:
        return None
    unit, scale = _scale(e)
    one_curve = [a for a in e.arms if a.model == "kaplan_meier"]
    shown = [*arms, *one_curve]
    rows = [
        {
            "arm": arm.arm,
            "days": days,
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
        }
        for arm in shown
        for days in e.horizons
        for estimate in [found(arm, at("brier", days))]
    ]
    data = pd.DataFrame(rows)
    apart = 0.012 * max(e.horizons)

    def draw(axes: Axes) -> None:
        for k, arm in enumerate(shown):
            own = data[data["arm"] == arm.arm]
            colour = GREY if arm in one_curve else COLOURS[k % len(COLOURS)]
            x = (own["days"] + apart * (k - (len(shown) - 1) / 2)) / scale
            bounds = [own["value"] - own["low"], own["high"] - own["value"]]
            style = "s--" if arm in one_curve else "o-"
            axes.errorbar(
                x, own["value"], bounds, fmt=style, color=colour, capsize=2, ms=4,
                lw=2 if arm.arm == e.baseline else 1.1, label=fitting(arm.arm),
            )  # fmt: skip
        days = [days / scale for days in e.horizons]
        axes.set_xticks(days, [f"{d:.3g}" for d in days])
        room = 0.15 * max(days)
        axes.set(xlabel=unit, ylabel="Brier score", xlim=(min(days) - room, max(days) + room))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))

    return Figure(
        "brier_over_time",
        "Brier score at the horizons",
        "Brier score of the predicted risks with 95 % interval; lower is better. Dashed: one "
        "Kaplan–Meier curve for everyone. Points of one horizon are drawn side by side; between "
        "horizons models give no risk, and lines only lead the eye.",
        svg(draw),
        data,
    )


def _calibration(e: SurvivalEvidence, days: float) -> Figure:
    chosen = next(a for a in e.arms if a.arm == e.baseline)
    bins = chosen.calibration[days]
    data = pd.DataFrame(
        {
            "arm": chosen.arm,
            "days": days,
            "predicted": bins.predicted,
            "observed": bins.observed,
            "low": bins.low,
            "high": bins.high,
            "count": bins.count,
        }
    )

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
        bounds = np.nan_to_num(np.stack([bins.observed - bins.low, bins.high - bins.observed]))
        axes.errorbar(
            bins.predicted, bins.observed, np.abs(bounds), fmt="o-", color=COLOURS[0], capsize=2
        )
        share = bins.count / bins.count.sum()
        axes.bar(bins.predicted, share, width=0.02, color=COLOURS[5], alpha=0.7, zorder=0)
        axes.set(xlabel="predicted risk", ylabel="observed risk", xlim=(0, 1), ylim=(0, 1))

    estimator = "Aalen–Johansen" if e.competing else "Kaplan–Meier"
    return Figure(
        calibration_name(days),
        f"Calibration at {span(days)}",
        f"Risk by {span(days)} that {chosen.arm} predicts, in bins of equal size over all repeats, "
        f"against the observed one ({estimator}) with 95 % intervals of the patients. Bars: share "
        "of patients in the bin. Dotted: perfect.",
        svg(draw),
        data,
    )


def _decision(e: SurvivalEvidence, arms: list[SurvivalArm], days: float) -> Figure:
    everyone = e.treat_all[days]

    def draw(axes: Axes) -> None:
        axes.plot(everyone.x, everyone.y, color=GREY, lw=1, ls="--", label="treat all")
        axes.axhline(0, color=GREY, lw=1, ls=":", label="treat none")
        highest = 0.0
        for arm, colour in zip(arms, COLOURS, strict=False):
            curve, leading = arm.decision[days], arm.arm == e.baseline
            axes.plot(
                curve.x, curve.y, color=colour, lw=2.4 if leading else 1.2, label=fitting(arm.arm),
                zorder=3 if leading else 2,
            )  # fmt: skip
            highest = max(highest, float(np.nanmax(curve.y)))
        axes.set(
            xlabel="threshold risk",
            ylabel="net benefit",
            xlim=(0, everyone.x[-1]),
            ylim=(-0.1 * max(highest, 0.1), 1.1 * max(highest, 0.1)),
        )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))

    parts = [_curve(arm.decision[days], arm=arm.arm) for arm in arms]
    return Figure(
        decision_name(days),
        f"Decision curve at {span(days)}",
        f"Net benefit of treating from a predicted risk by {span(days)} on, with censoring: higher "
        f"is better; without band, the interval at one threshold stands in the table. Heavy: "
        f"{e.baseline}.",
        svg(draw),
        pd.concat([*parts, _curve(everyone, arm="treat all")], ignore_index=True),
    )


def _scale(e: SurvivalEvidence) -> tuple[str, float]:
    """Unit of a time axis, and the days of one."""
    months = e.follow_up.last < MONTHS_UNTIL
    return ("months since time zero", YEAR / 12) if months else ("years since time zero", YEAR)


def _shades(groups: int) -> list[str]:
    """Colours of risk groups, the highest the warmest."""
    few = {1: [COLOURS[0]], 2: [COLOURS[0], COLOURS[1]], 3: [COLOURS[0], COLOURS[2], COLOURS[1]]}
    return few.get(groups, [COLOURS[k % len(COLOURS)] for k in range(groups)])


def _band(axes: Axes, x: np.ndarray, curve: Curve, colour: str) -> None:
    if curve.low is not None and curve.high is not None:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.15, lw=0)


def _curve(curve: Curve, **columns: str | float) -> pd.DataFrame:
    data: dict[str, object] = {**columns, "x": curve.x, "y": curve.y}
    if curve.low is not None and curve.high is not None:
        data |= {"low": curve.low, "high": curve.high}
    return pd.DataFrame(data)
