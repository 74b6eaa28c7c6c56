"""Studies of several outcomes side by side: how far each can be predicted, and what fusion adds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from featurestore.cohort import watermark
from fusion.evidence import Arm, Estimate, Evidence, Gain
from fusion.report.drawing import Figure, intervals, svg, tall
from fusion.report.kinds import Compared, rendering
from fusion.report.numbers import NOTHING, p_value, with_interval
from fusion.report.tables import UNDEFINED, TextTable

NO_AUDIT, CLEAR = "not audited", "nothing fired"


@dataclasses.dataclass(frozen=True)
class StudiedOutcome:
    """One outcome of several.

    Attributes:
        name: The outcome.
        evidence: The numbers of its study.
        page: Its report, relative to the page that compares.
    """

    name: str
    evidence: Evidence
    page: str

    @property
    def metric(self) -> Compared:
        """The headline metric of its kind."""
        return rendering(self.evidence).compared([self.evidence])[0]

    @property
    def reference(self) -> Arm:
        """The arm that differences are taken against."""
        return next(a for a in self.evidence.arms if a.arm == self.evidence.baseline)

    @property
    def best(self) -> Arm:
        """The arm with the highest value of the metric; floors and clinical reference are none."""
        arms = [arm for arm in self.evidence.arms if arm.kind == "arm"] or [self.reference]
        return max(arms, key=lambda arm: _above(self.value(arm)))

    @property
    def lead(self) -> Estimate:
        """The best arm minus the reference, paired; undefined where they are the same."""
        found = self.best.differences.get(self.metric.name)
        return UNDEFINED if found is None else found.estimate

    @property
    def gain(self) -> Gain | None:
        """What fusion adds over the best single modality; None where nothing was fused.

        It is that of the reference's model where this sees everything, else of the first model.
        """
        gains = self.evidence.fusion_gain
        fused = [g for g in gains if g.fused_arm == self.evidence.baseline]
        own = fused or [g for g in gains if g.fused_arm == gains[0].fused_arm]
        return min(own, key=lambda gain: _above(gain.delta), default=None)

    @property
    def audit(self) -> str:
        """What the audit says, in a few words."""
        report = self.evidence.audit
        if report is None:
            return NO_AUDIT
        grave = sum(result.severity == "invalidates" for result in report.fired)
        if grave:
            return f"{grave} INVALIDATE"
        return f"{len(report.fired)} fired" if report.fired else CLEAR

    def value(self, arm: Arm) -> Estimate:
        """The metric of an arm."""
        return arm.metrics.get(self.metric.name, UNDEFINED)


@dataclasses.dataclass(frozen=True)
class SeveralOutcomes:
    """The studies of a run of several outcomes.

    Attributes:
        outcomes: The studies as they were asked for.
        shares_folds: Whether everyone is tested in the same folds in all of them.
        failed: Outcome and reason of those whose study ended with an error.
    """

    outcomes: tuple[StudiedOutcome, ...]
    shares_folds: bool
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def mark(self) -> str:
        """What must stand above everything; empty if all is of real patients."""
        runs = [outcome.evidence.run for outcome in self.outcomes]
        marks = [watermark(run.linkage, run.synthetic) for run in runs]
        return " ".join(dict.fromkeys(mark for mark in marks if mark))

    @property
    def cautions(self) -> tuple[str, ...]:
        """How to read it, the gravest first."""
        invalid = [
            outcome.name
            for outcome in self.outcomes
            if outcome.evidence.audit is not None and outcome.evidence.audit.invalidated
        ]
        found = [
            f"The audit found what takes the meaning from the numbers of {', '.join(invalid)}; "
            "their reports say what."
        ]
        found = found if invalid else []
        found += [f"{name} was not studied: {reason}" for name, reason in self.failed]
        if not self.shares_folds:
            found.append(
                "Patients are not tested in the same folds in all studies: data or folds changed "
                "between them. Run all outcomes again."
            )
        n = len(self.outcomes)
        return (
            *found,
            f"{n} outcomes were studied: the more are looked at, the likelier one of them looks "
            "well by chance. Intervals and p values are of each outcome alone.",
            "A row holds an outcome's own patients: who has an unknown state is left out of that "
            "study only. Rows are not to be ranked by a metric that depends on prevalence.",
        )


def several_outcomes(
    found: Iterable[tuple[Evidence, str]],
    shares_folds: bool,
    failed: Sequence[tuple[str, str]] = (),
) -> SeveralOutcomes:
    """Puts studies side by side.

    Args:
        found: Evidence of each, and its report relative to the page.
        shares_folds: Whether everyone is tested in the same folds.
        failed: Outcome and reason of those that ended with an error.
    """
    outcomes = tuple(StudiedOutcome(e.run.outcome_name, e, page) for e, page in found)
    return SeveralOutcomes(outcomes, shares_folds, tuple(failed))


def outcomes_table(several: SeveralOutcomes) -> TextTable:
    """One line an outcome."""
    rows = tuple(
        (
            outcome.name,
            outcome.audit,
            outcome.reference.arm,
            outcome.best.arm,
            NOTHING if outcome.gain is None else _fused(outcome.gain),
            str(outcome.evidence.run.n_patients),
            str(outcome.evidence.run.n_events),
            outcome.metric.heading,
            with_interval(outcome.value(outcome.reference)),
            with_interval(outcome.value(outcome.best)),
            with_interval(outcome.lead, sign=True),
            NOTHING if outcome.gain is None else with_interval(outcome.gain.delta, sign=True),
            NOTHING if outcome.gain is None else p_value(outcome.gain.p_holm),
        )
        for outcome in several.outcomes
    )
    return TextTable(
        "Every outcome on the same folds. The best arm is the one with the highest value here, so "
        "its value flatters; its difference to the reference is paired. The gain of fusion is over "
        "the single modality that does best, with the same model, paired.",
        (
            "outcome",
            "audit",
            "reference",
            "best arm",
            "fusion of what, over what",
            "n",
            "events",
            "metric",
            "reference [95 % CI]",
            "best [95 % CI]",
            "best minus reference",
            "gain of fusion [95 % CI]",
            "p Holm",
        ),
        rows,
        text_columns=5,
        stacked=True,
    )


def definitions_table(several: SeveralOutcomes) -> TextTable:
    """What each outcome is."""
    rows = tuple(
        (outcome.name, outcome.evidence.run.outcome_definition, outcome.evidence.run.unit)
        for outcome in several.outcomes
    )
    return TextTable("What was asked.", ("outcome", "definition", "unit"), rows, text_columns=3)


def tidy_outcomes(several: SeveralOutcomes) -> pd.DataFrame:
    """One row an outcome, unrounded, for `outcomes.csv`."""
    rows = []
    for outcome in several.outcomes:
        run, gain = outcome.evidence.run, outcome.gain
        delta = UNDEFINED if gain is None else gain.delta
        values = {
            "reference": outcome.value(outcome.reference),
            "best": outcome.value(outcome.best),
            "best_minus_reference": outcome.lead,
            "fusion_gain": delta,
        }
        record: dict[str, str | int | float | bool | None] = {
            "outcome": outcome.name,
            "definition": run.outcome_definition,
            "n": run.n_patients,
            "events": run.n_events,
            "metric": outcome.metric.name,
            "reference_arm": outcome.reference.arm,
            "best_arm": outcome.best.arm,
        }
        for name, found in values.items():
            record |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        record |= {
            "fused_arm": None if gain is None else gain.fused_arm,
            "single_arm": None if gain is None else gain.single_arm,
            "fusion_gain_p_holm": None if gain is None else gain.p_holm,
            "audit": outcome.audit,
            "shares_folds": several.shares_folds,
            "synthetic": run.synthetic,
            "linkage": run.linkage,
        }
        rows.append(record)
    return pd.DataFrame(rows)


def draw_gains(several: SeveralOutcomes) -> list[Figure]:
    """The gain of fusion of each outcome; no figure where nothing was fused."""
    table = tidy_outcomes(several)
    data = table[["outcome", "fusion_gain", "fusion_gain_low", "fusion_gain_high"]]
    data = data.set_axis(["outcome", "value", "low", "high"], axis=1).dropna(subset="value")
    if data.empty:
        return []

    def draw(axes: Axes) -> None:
        intervals(axes, data, "outcome", "gain of fusion with 95 % interval")

    return [
        Figure(
            "gains",
            "What fusion adds, by outcome",
            "The model on all modalities minus the same model on the best single one, paired, by "
            "the headline metric of each outcome. Dotted: no gain.",
            svg(draw, tall(len(data))),
            data,
        )
    ]


def _fused(gain: Gain) -> str:
    return f"{gain.fused_arm} over {gain.single_arm}"


def _above(estimate: Estimate) -> float:
    return estimate.value if estimate.value == estimate.value else float("-inf")
