"""Which intervals stand in a report, in words: the one place where they are described.

Coverage is what `python -m benchmarks.coverage` found over its grid of whole pipelines; the figures
are kept in `benchmarks/intervals/results.csv`, and `docs/intervals.md` tells the story.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from featurestore.units import NOUNS, Noun, worded
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
        simulated: What was simulated, in a clause.
        concordance_coverage: As `arm_coverage`, of Uno's C within folds: ridge Cox regression on
            15 columns, 180 and 400 patients, true C 0.5 to 0.73, 30 % and 70 % censored
            (`python -m benchmarks.survival_pipelines`).
        short_of: Of how many settings an AUROC, and a difference, was covered in less than 93 %,
            and of how many in all.
    """

    method: str
    name: str
    text: str
    arm_coverage: tuple[float, float] | None = None
    difference_coverage: tuple[float, float] | None = None
    simulated: str = ""
    short_of: tuple[tuple[int, int], tuple[int, int]] | None = None
    concordance_coverage: tuple[float, float] | None = None

    def worded(self, drawn: Noun) -> IntervalFacts:
        """The same about what a bootstrap draws: patients, or lesions whose patients nobody knows.

        Args:
            drawn: What it draws (`Counted.drawn`).
        """
        return dataclasses.replace(
            self, name=worded(self.name, drawn), text=worded(self.text, drawn)
        )

    def coverage_of(self, metric: str) -> tuple[float, float] | None:
        """Lowest and highest simulated coverage of a metric's interval; None where none was."""
        simulated = {"auroc": self.arm_coverage, "uno_c": self.concordance_coverage}
        return simulated.get(metric)


POOLING: dict[int, float] = {180: 0.005, 1000: 0.001}
"""By how much the AUROC of pooled out-of-fold predictions lay below the truth, by patients: mean
over the settings of five folds and 15 columns. Averaged over folds it is off by less than 0.001."""

REAL_ARMS = (
    "ridge logistic regression (15 or 60 columns, 5 or 10 folds, patients alone or in clusters of "
    "3), LightGBM and a small head (15 columns, 5 folds; the head 180 and 400 patients), 180 to "
    "1,000 patients, true AUROC 0.5 to 0.9"
)

KINDS: dict[str, IntervalFacts] = {
    facts.method: facts
    for facts in (
        IntervalFacts(
            "repeats",
            "bootstrap of {patients}, widened for training",
            "95 % percentile interval of a bootstrap over {patients}, widened because each "
            "{patient} is tested once and trains the models of all other folds; by how much is "
            "estimated from how the repeats of the cross-validation differ.",
            (0.936, 0.995),
            (0.929, 0.997),
            REAL_ARMS,
            ((0, 140), (1, 240)),
            (0.955, 1.0),
        ),
        IntervalFacts(
            "bound",
            "bootstrap of {patients}, variance doubled",
            "95 % percentile interval of a bootstrap over {patients} with its variance doubled, "
            "the most that training on each other's {patients} can add to it; with a second repeat "
            "of the cross-validation it would be estimated, and mostly less.",
            (0.948, 0.997),
            (0.934, 0.997),
            REAL_ARMS,
            ((0, 70), (0, 120)),
            (0.97, 1.0),
        ),
        IntervalFacts(
            "percentile",
            "bootstrap of {patients}",
            "95 % percentile interval of a bootstrap over {patients}; no {patient}'s outcome that "
            "is tested here trained a model that tests another.",
            (0.930, 0.960),
            simulated="the floor of permuted labels at 90, 150 and 600 patients",
        ),
        IntervalFacts(
            "exact",
            "exact binomial",
            "Exact binomial 95 % interval (Clopper & Pearson 1934) of a share of exactly 0 or 1, "
            "which does not vary over draws.",
        ),
        IntervalFacts(
            "delong",
            "DeLong",
            "95 % interval of DeLong et al. 1988, by the covariance of the repeats; it assumes "
            "fixed models on independent test data.",
        ),
    )
}


def interval_facts(
    estimates: Iterable[Estimate], drawn: Noun = NOUNS["patient"]
) -> tuple[IntervalFacts, ...]:
    """Describes the kinds of interval that the estimates have, each once.

    Args:
        estimates: The estimates.
        drawn: What the bootstrap draws (`Counted.drawn`).
    """
    methods = dict.fromkeys(estimate.method for estimate in estimates)
    return tuple(facts.worded(drawn) for method, facts in KINDS.items() if method in methods)
