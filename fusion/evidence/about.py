"""What a run says of itself: what was studied, with what, and how. Nothing here is computed."""

from __future__ import annotations

import dataclasses
from typing import Literal

Trained = Literal["elsewhere", "never", "training parts", "other patients"]
"""On what an encoder learned: data that are no part of the run; nothing (random weights); the
training patients of each outer fold; or other patients of the same kind."""

EVERY_FOLD = "all"
"""Key of an encoder's digest that holds for every outer fold."""


@dataclasses.dataclass(frozen=True)
class EncoderFacts:
    """What turned images into embeddings.

    Attributes:
        name: Its name in the configuration.
        dimension: Length of its embeddings.
        weights: Where its first weights came from, for people.
        trained: On what it learned.
        digests: Short digest of the encoder by `repeat/fold`, or one under `EVERY_FOLD`.
    """

    name: str
    dimension: int
    weights: str
    trained: Trained
    digests: dict[str, str]

    @property
    def fine_tuned(self) -> bool:
        """Whether the run trained it."""
        return self.trained in ("training parts", "other patients")


@dataclasses.dataclass(frozen=True)
class AnalysisFacts:
    """How data were chosen and used, in the words that reporting standards ask for.

    Attributes:
        sources: Kinds of the sources that were read.
        sites: Sites that patients come from; 0 where no site is known.
        eligibility: Who is studied.
        predictors: Columns and embeddings that models may look at.
        withheld: Columns that models never see: they reveal the outcome or become known later.
        measured: When predictors become known.
        split: Outer folds and repeats.
        building: How models are fitted and tuned inside the training part.
        imbalance: What was done about unequal classes.
    """

    sources: str = ""
    sites: int = 0
    eligibility: str = ""
    predictors: str = ""
    withheld: str = ""
    measured: str = ""
    split: str = ""
    building: str = ""
    imbalance: str = ""


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What was run, on what, with what.

    Attributes:
        name: Name of the run.
        command: Command line that repeats it.
        outcome_name: Name of the outcome.
        outcome_definition: Its definition.
        unit: What one observation is.
        as_of: Time up to which predictors may have been measured.
        linkage: How images and patient rows were matched.
        synthetic: Whether any row was made by a program.
        n_patients: Patients of the cohort.
        n_events: Patients with the outcome.
        n_images: Images of the cohort.
        prevalence: n_events / n_patients.
        seed: Seed of the run.
        cohort_digest: SHA-256 of the cohort.
        folds_digest: SHA-256 that names the frozen folds.
        encoders: What embedded the images, frozen encoders first.
        versions: Version by package.
        caveats: Sentences of the outcome.
        notes: Sentences of the cohort.
        facts: Known numbers, for example the oracle AUROC.
        licences: One line a source.
        arms_left_out: One line an arm that could not be fitted on all folds, with the reason.
        analysis: How data were chosen and used.
    """

    name: str
    command: str
    outcome_name: str
    outcome_definition: str
    unit: str
    as_of: str
    linkage: str
    synthetic: bool
    n_patients: int
    n_events: int
    n_images: int
    prevalence: float
    seed: int
    cohort_digest: str
    folds_digest: str
    encoders: tuple[EncoderFacts, ...]
    versions: dict[str, str]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    facts: dict[str, float]
    licences: tuple[str, ...]
    arms_left_out: tuple[str, ...] = ()
    analysis: AnalysisFacts = AnalysisFacts()
