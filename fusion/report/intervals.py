"""Which interval each AUROC has, in words: for captions, tables and terminals."""

from __future__ import annotations

from collections.abc import Sequence

from featurestore.units import NOUNS, Noun
from fusion.evidence import Arm, ArmEvidence, Estimate, Evidence
from fusion.evidence.intervals import KINDS, POOLING, IntervalFacts
from fusion.report.numbers import NOTHING, number, with_interval


def kind_name(estimate: Estimate, drawn: Noun = NOUNS["patient"]) -> str:
    """Name of the kind of interval; a dash where there is none."""
    facts = KINDS.get(estimate.method)
    return NOTHING if facts is None else facts.worded(drawn).name


def coverage(span: tuple[float, float] | None) -> str:
    """`93.0–98.8 %`, or that nothing was simulated."""
    return "not simulated" if span is None else f"{100 * span[0]:.1f}–{100 * span[1]:.1f} %"


def sentence(e: Evidence, metric: str = "auroc", name: str = "AUROC") -> str:
    """Which interval a metric of each arm of a run has, the kind of most arms first.

    Args:
        e: Evidence of the run.
        metric: Name of the metric.
        name: The same for people.
    """
    return sentence_of(e.arms, e, metric, name)


def sentence_of(
    arms: Sequence[Arm], e: Evidence, metric: str = "auroc", name: str = "AUROC"
) -> str:
    """The same of some arms."""
    draws, drawn = e.bootstrap_draws, e.run.counted.drawn
    named: dict[str, list[str]] = {}
    for arm in arms:
        if arm.metrics[metric].method in KINDS:
            named.setdefault(arm.metrics[metric].method, []).append(arm.arm)
    if not named:
        return f"Intervals: {draws:,} draws of a bootstrap over {drawn.many}, shared by all arms."
    first, *others = sorted(named, key=lambda method: -len(named[method]))
    said = [
        f"Intervals: {_short(KINDS[first].worded(drawn), metric)}; {draws:,} draws, shared by all "
        "arms.",
        *(
            f"{name} of {', '.join(named[method])}: {_short(KINDS[method].worded(drawn), metric)}."
            for method in others
        ),
    ]
    return " ".join(said)


def _short(facts: IntervalFacts, metric: str) -> str:
    found = facts.coverage_of(metric)
    if found is None:
        return f"{facts.name} (coverage not simulated)"
    return f"{facts.name} (simulated coverage {coverage(found)})"


def headline() -> str:
    """Which AUROC is the headline, and what it costs."""
    sizes = " and ".join(f"{bias:.3f} at {n:,}" for n, bias in POOLING.items())
    return (
        "AUROC is that of the pooled out-of-fold predictions of a repeat, as curves, thresholds "
        "and calibration are. Scores of different fold models are not quite on one scale, which "
        f"lowered it in simulations by {sizes} patients on average, about a tenth of its standard "
        "error; the mean over folds, which is not lowered, stands beside it under Intervals."
    )


def pooled_beside_folds(arm: ArmEvidence) -> str:
    """AUROC of one arm, pooled with interval and averaged over folds."""
    averaged = None if arm.fold_averaged is None else arm.fold_averaged.value
    return f"{with_interval(arm.metrics['auroc'])} pooled, {number(averaged)} as mean over folds"
