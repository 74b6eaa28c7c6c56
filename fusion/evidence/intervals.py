"""Which intervals stand in a report, in words: the one place where they are described.

Coverage is what `python -m benchmarks.coverage` found over its grid of whole pipelines; the figures
are kept in `benchmarks/intervals/results.csv`, and `docs/intervals.md` tells the story.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from fusion.metrics import Estimate


@dataclasses.dataclass(frozen=True)
class IntervalFacts:
    """One kind of interval.

    Attributes:
        method: As `bootstrap.Estimate.method` has it.
        name: For the head of a column or a legend.
        text: What it is, in one or two sentences.
        arm_coverage: Lowest and highest simulated coverage of the 95 % interval of an AUROC, over
            the settings; None where none was simulated.
        difference_coverage: The same of a paired difference of two AUROCs.
    """

    method: str
    name: str
    text: str
    arm_coverage: tuple[float, float] | None = None
    difference_coverage: tuple[float, float] | None = None


KINDS: dict[str, IntervalFacts] = {
    facts.method: facts
    for facts in (
        IntervalFacts(
            "repeats",
            "bootstrap of patients, widened for training",
            "95 % percentile interval of a bootstrap over patients, widened because each patient "
            "is tested once and trains the models of all other folds; by how much is estimated "
            "from how the repeats of the cross-validation differ.",
            (0.930, 0.988),
            (0.920, 0.985),
        ),
        IntervalFacts(
            "bound",
            "bootstrap of patients, variance doubled",
            "95 % percentile interval of a bootstrap over patients with its variance doubled, the "
            "most that training on each other's patients can add to it; with a second repeat of "
            "the cross-validation it would be estimated, and mostly less.",
            (0.940, 0.998),
            (0.935, 0.993),
        ),
        IntervalFacts(
            "percentile",
            "bootstrap of patients",
            "95 % percentile interval of a bootstrap over patients; no patient's outcome that is "
            "tested here trained a model that tests another.",
        ),
        IntervalFacts(
            "exact",
            "exact binomial",
            "Exact binomial 95 % interval (Clopper & Pearson 1934) of a share of exactly 0 or 1, "
            "which does not vary over draws.",
        ),
    )
}


def interval_facts(estimates: Iterable[Estimate]) -> tuple[IntervalFacts, ...]:
    """Describes the kinds of interval that the estimates have, each once."""
    methods = dict.fromkeys(estimate.method for estimate in estimates)
    return tuple(facts for method, facts in KINDS.items() if method in methods)
