"""What a run says of itself: what was studied, with what, and how. Nothing here is computed."""

from __future__ import annotations

import dataclasses
from typing import Literal

from featurestore.units import Counted, Observed
from fusion.arms import Modality

Trained = Literal[
    "elsewhere", "never", "training parts", "other patients", "unknown", "listed patients"
]
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
class Years:
    """Years of the calendar that a column holds.

    Attributes:
        what: The column, for people.
        first: Earliest year.
        last: Latest year.
        known: Patients of whom it is known.
    """

    what: str
    first: int
    last: int
    known: int


@dataclasses.dataclass(frozen=True)
class AnalysisFacts:
    """How data were chosen and parted.

    Attributes:
        sources: Kinds of the sources that were read.
        sites: Sites that patients come from; 0 where no site is known.
        years: Years of the calendar that the data state.
        eligibility: Who is studied, a condition each.
        unread: Columns of the files that no source understood.
        n_folds: Outer folds.
        repeats: Repeats of them; 0 where nothing is known of the split.
        modalities: What arms may look at.
    """

    sources: tuple[str, ...] = ()
    sites: int = 0
    years: tuple[Years, ...] = ()
    eligibility: tuple[str, ...] = ()
    unread: int = 0
    n_folds: int = 0
    repeats: int = 0
    modalities: tuple[Modality, ...] = ()


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
        n_patients: Observations of the cohort: patients, or lesions (`observed`).
        n_events: Those with the outcome.
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
        analysis: How data were chosen and parted.
        observed: What `n_patients` counts.
        n_persons: Patients who are known.
        n_nameless: Observations whose patient is not known.
        n_clusters: Groups that folds keep together and the bootstrap draws.
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
    n_slides: int = 0
    analysis: AnalysisFacts = AnalysisFacts()
    observed: Observed = "patient"
    n_persons: int = 0
    n_nameless: int = 0
    n_clusters: int = 0

    @property
    def counted(self) -> Counted:
        """How many observations there are, of how many people."""
        return Counted(self.observed, self.n_patients, self.n_persons, self.n_nameless)
