"""Several runs side by side: what they have in common, and every arm of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from featurestore.cohort import short_watermark, watermark
from featurestore.errors import DataError
from featurestore.units import NOUNS, Noun
from fusion.config.differences import differing
from fusion.evidence import Arm, Estimate, Evidence, FinishedRun
from fusion.evidence.intervals import interval_facts
from fusion.evidence.paired import RunDifference, identical_arms, paired_differences
from fusion.report.drawing import COLOURS, GREY, Figure, fitting, svg
from fusion.report.intervals import coverage, kind_name
from fusion.report.kinds import Compared, rendering
from fusion.report.numbers import number, p_value, with_interval
from fusion.report.tables import TextTable

_LONGEST = 60  # letters of a setting that are shown
UNDEFINED = Estimate(float("nan"), float("nan"), float("nan"))


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        label: Its name, unlike that of any other run here.
        evidence: Its numbers.
        patients_digest: Names who was predicted, with their outcomes.
        folds_digest: Names who was predicted in which fold.
    """

    label: str
    evidence: Evidence
    patients_digest: str
    folds_digest: str


@dataclasses.dataclass(frozen=True)
class ComparedArm:
    """One arm of one run.

    Attributes:
        run: The run.
        arm: The arm.
        also: Labels of further runs whose predictions of the arm are the same.
    """

    run: ComparedRun
    arm: Arm
    also: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The runs that it is of."""
        return " = ".join((self.run.label, *self.also))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The runs as they were given.
        arms: Every arm of every run, the same arm of different runs together.
        caveats: How to read differences between runs, the gravest first.
        metrics: By what they are compared.
        settings: What differs between the configurations: by setting one text a run.
        paired: Arms of further runs minus the same arm of the first, where patients and folds are
            the same.
    """

    runs: tuple[ComparedRun, ...]
    arms: tuple[ComparedArm, ...]
    caveats: tuple[str, ...]
    metrics: tuple[Compared, ...]
    settings: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    paired: tuple[RunDifference, ...] = ()


def compare(found: Sequence[FinishedRun], folders: Sequence[str]) -> Comparison:
    """Puts runs side by side.

    Args:
        found: The runs.
        folders: Name of each run's folder, which tells runs of one name apart.

    Raises:
        DataError: Their outcomes are of several kinds, which no metric compares.
    """
    kinds = sorted({run.evidence.endpoint for run in found})
    if len(kinds) > 1:
        raise DataError(
            f"runs with outcomes of several kinds cannot be compared: {', '.join(kinds)}; "
            "compare those of one kind"
        )
    labels = _labels([run.evidence.run.name for run in found], folders)
    runs = tuple(
        ComparedRun(label, run.evidence, run.patients_digest, run.folds_digest)
        for label, run in zip(labels, found, strict=True)
    )
    names = dict.fromkeys(arm.arm for run in runs for arm in run.evidence.arms)
    arms = tuple(row for name in names for row in _joined(name, runs, found))
    evidence = [run.evidence for run in runs]
    metrics = rendering(evidence[0]).compared(evidence)
    configs = [run.config for run in found if run.config is not None]
    settings = differing(configs, ("name", "store", "project")) if len(configs) == len(runs) else {}
    return Comparison(runs, arms, _caveats(runs), metrics, settings, paired_differences(found))


def _joined(
    name: str, runs: Sequence[ComparedRun], found: Sequence[FinishedRun]
) -> list[ComparedArm]:
    """One arm in all runs that have it; once for those whose predictions are the same."""
    rows: list[tuple[int, ComparedArm]] = []
    for k, run in enumerate(runs):
        for arm in (one for one in run.evidence.arms if one.arm == name):
            twin = next(
                (i for i, (j, _) in enumerate(rows) if _same(name, found[j], found[k])), None
            )
            if twin is None:
                rows.append((k, ComparedArm(run, arm)))
            else:
                first, row = rows[twin]
                rows[twin] = first, dataclasses.replace(row, also=(*row.also, run.label))
    return [row for _, row in rows]


def _same(name: str, first: FinishedRun, other: FinishedRun) -> bool:
    """Whether an arm has the same predictions of the same patients, and the same numbers."""
    numbers = [
        {metric: dataclasses.astuple(estimate) for metric, estimate in arm.metrics.items()}
        for run in (first, other)
        for arm in run.evidence.arms
        if arm.arm == name
    ]
    return name in identical_arms(first, other) and repr(numbers[0]) == repr(numbers[1])


def settings_table(comparison: Comparison) -> TextTable | None:
    """What differs between the configurations; None where nothing does, or is not known."""
    if not comparison.settings:
        return None
    labels = [run.label for run in comparison.runs]
    rows = tuple((name, *map(_shortened, texts)) for name, texts in comparison.settings.items())
    return TextTable(
        "Settings that the configurations do not share, by their keys.",
        ("setting", *labels),
        rows,
        text_columns=1 + len(labels),
    )


def paired_table(comparison: Comparison) -> TextTable | None:
    """Arms of further runs minus the same arm of the first; None where nothing can be paired."""
    if not comparison.paired:
        return None
    names = [m for m in comparison.metrics if m.name in comparison.paired[0].differences]
    rows = tuple(
        (
            one.arm,
            comparison.runs[one.run].label,
            *(
                cell
                for metric in names
                for cell in (
                    with_interval(one.differences[metric.name].estimate, sign=True),
                    p_value(one.differences[metric.name].p_holm),
                )
            ),
        )
        for one in comparison.paired
    )
    headings = [h for m in names for h in (f"{m.heading} [95 % CI]", "p Holm")]
    return TextTable(
        f"Each arm minus the same arm of {comparison.runs[0].label}, on the same patients and "
        "folds, under the same draws. Holm adjusts over the arms of a run and metric.",
        ("arm", "run", *headings),
        rows,
        text_columns=2,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def comparison_mark(comparison: Comparison) -> str:
    """What must stand above everything; empty if all runs are of real, linked patients."""
    marks = [watermark(r.evidence.run.linkage, r.evidence.run.synthetic) for r in comparison.runs]
    return " ".join(dict.fromkeys(mark for mark in marks if mark))


def runs_table(comparison: Comparison) -> TextTable:
    """What each run is."""
    rows = tuple(
        (
            run.label,
            f"{facts.outcome_name}: {facts.outcome_definition}",
            facts.linkage,
            short_watermark(facts.linkage, facts.synthetic),
            str(facts.n_patients) if facts.observed == "patient" else facts.counted.text,
            str(facts.n_events),
            run.patients_digest[:8],
            run.folds_digest[:8],
            str(facts.seed),
        )
        for run in comparison.runs
        for facts in [run.evidence.run]
    )
    columns = ("run", "outcome", "linkage", "mark", "n", "events", "patients", "folds", "seed")
    return TextTable(
        "What was compared; runs with the same digest have the same patients, or folds.",
        columns,
        rows,
        text_columns=4,
    )


def arms_table(comparison: Comparison) -> TextTable:
    """One line an arm and run; what all rows share stands with the runs."""
    rows = tuple(
        (
            row.arm.arm,
            row.label,
            facts.outcome_name,
            f"{facts.linkage} {_short(row)}".strip(),
            str(row.arm.n),
            str(row.arm.events),
            *_values(row.arm, comparison.metrics, facts.counted.drawn),
        )
        for row in comparison.arms
        for facts in [row.run.evidence.run]
    )
    columns = ("arm", "run", "outcome", "linkage", "n", "events", *_headings(comparison.metrics))
    shared = [k for k in (2, 3) if len({row[k] for row in rows}) == 1]
    return TextTable(
        f"Every arm of every run. {interval_note(comparison)}",
        _without(columns, shared),
        tuple(_without(row, shared) for row in rows),
        text_columns=4 - len(shared),
        stacked=True,
    )


def _without(cells: Sequence[str], left_out: Sequence[int]) -> tuple[str, ...]:
    return tuple(cell for k, cell in enumerate(cells) if k not in left_out)


def interval_note(comparison: Comparison) -> str:
    """Which kinds of interval the first metric has; each run drew for itself."""
    first = comparison.metrics[0]
    nouns = {row.run.evidence.run.counted.drawn for row in comparison.arms}
    drawn = nouns.pop() if len(nouns) == 1 else NOUNS["patient"]
    found = interval_facts((row.arm.metrics[first.name] for row in comparison.arms), drawn)
    kinds = [f"{f.name} (coverage {coverage(f.coverage_of(first.name))})" for f in found]
    return f"Intervals of each run's own draws: {'; '.join(kinds) or f'bootstrap of {drawn.many}'}."


def _headings(metrics: Sequence[Compared]) -> list[str]:
    """Of the metrics; behind the first the kind of its interval."""
    named = [f"{m.heading} [95 % CI]" if m.on_page else m.heading for m in metrics]
    return [named[0], "interval", *named[1:]]


def _values(arm: Arm, metrics: Sequence[Compared], drawn: Noun) -> list[str]:
    found = [arm.metrics.get(metric.name, UNDEFINED) for metric in metrics]
    shown = [
        with_interval(estimate) if metric.on_page else number(estimate.value)
        for metric, estimate in zip(metrics, found, strict=True)
    ]
    return [shown[0], kind_name(found[0], drawn), *shown[1:]]


def tidy_comparison(comparison: Comparison) -> pd.DataFrame:
    """One row an arm and run, unrounded, for `comparison.csv`."""
    rows = []
    for row in comparison.arms:
        facts = row.run.evidence.run
        record: dict[str, str | int | float | bool] = {
            "arm": row.arm.arm,
            "run": row.run.label,
            "also": "; ".join(row.also),
            "model": row.arm.model,
            "modalities": "+".join(row.arm.modalities),
            "kind": row.arm.kind,
            "outcome": facts.outcome_name,
            "linkage": facts.linkage,
            "synthetic": facts.synthetic,
            "watermark": _short(row),
            "patients_digest": row.run.patients_digest,
            "folds_digest": row.run.folds_digest,
            "n": row.arm.n,
            "events": row.arm.events,
        }
        for name in (metric.name for metric in comparison.metrics):
            found = row.arm.metrics.get(name, UNDEFINED)
            record |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        record["interval"] = row.arm.metrics[comparison.metrics[0].name].method
        rows.append(record)
    return pd.DataFrame(rows)


def draw_forest(comparison: Comparison) -> Figure:
    """The first metric of every arm, one colour a run; floors are left to the table."""
    metric = comparison.metrics[0]
    value, low, high = metric.name, f"{metric.name}_low", f"{metric.name}_high"
    shown = [row for row in comparison.arms if row.arm.kind != "floor"]
    names = list(dict.fromkeys(row.arm.arm for row in shown))
    labels = [run.label for run in comparison.runs]
    table = tidy_comparison(dataclasses.replace(comparison, arms=tuple(shown)))
    data = table[["arm", "run", value, low, high, "n", "events"]]
    step = min(0.8 / len(labels), 0.3)

    def draw(axes: Axes) -> None:
        for k, label in enumerate(labels):
            rows = data[data["run"] == label]
            y = rows["arm"].map(names.index).to_numpy() + step * (k - (len(labels) - 1) / 2)
            colour = COLOURS[k % len(COLOURS)]
            axes.hlines(y, rows[low], rows[high], color=colour, lw=2)
            marker = "os^Dv"[k // len(COLOURS) % 5]
            axes.plot(rows[value], y, marker, color=colour, ms=5, label=fitting(label))
        axes.axvline(0.5, color=GREY, lw=1, ls=":")
        axes.set_yticks(range(len(names)), [fitting(n) for n in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(f"{metric.heading} with 95 % interval")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / height), ncols=2)

    height = 1.6 + 0.12 * len(labels) + len(names) * max(0.3, 0.16 * len(labels))
    return Figure(
        "forest",
        f"{metric.heading} of every arm and run",
        f"Out-of-fold {metric.heading} with 95 % interval, one colour a run. Dotted: no "
        "discrimination.",
        svg(draw, height),
        data,
    )


def _short(row: ComparedArm) -> str:
    return short_watermark(row.run.evidence.run.linkage, row.run.evidence.run.synthetic)


def _labels(names: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Names of runs; with the folder where a name stands twice, and a number where both do."""
    labels = [
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    ]
    numbers = [labels[:k].count(label) + 1 for k, label in enumerate(labels)]
    return [
        label if labels.count(label) == 1 else f"{label} #{number}"
        for label, number in zip(labels, numbers, strict=True)
    ]


def _caveats(runs: Sequence[ComparedRun]) -> tuple[str, ...]:
    """One sentence for each thing that the runs do not share, and what follows."""
    questions: list[tuple[str, Callable[[ComparedRun], object]]] = [
        ("outcomes", lambda r: (r.evidence.run.outcome_name, r.evidence.run.outcome_definition)),
        ("linkage of images and clinical rows", lambda r: r.evidence.run.linkage),
        ("patients", lambda r: r.patients_digest),
        ("folds", lambda r: r.folds_digest),
    ]
    differ = [what for what, of in questions if len({of(run) for run in runs}) > 1]
    if differ:
        listed = " and ".join([", ".join(differ[:-1]), differ[-1]] if differ[1:] else differ)
        return (
            f"These runs have different {listed}: differences between them are not paired, and a "
            "gap between two runs may come from what was studied as well as from how.",
        )
    return (
        "These runs study the same patients, outcome and folds. The intervals are of each arm "
        "alone: whether two arms differ is answered by a paired difference, inside one run, or of "
        "the same arm in two runs below. Who tries many settings and reports the best has chosen "
        "on these patients.",
    )
