"""The cohort: who is studied, with which images and columns, and who was left out and why."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.outcomes import (
    DAYS_IN,
    EVENT,
    OUTCOME_COLUMNS,
    TARGETS,
    Outcome,
    Target,
    TimesRule,
)
from featurestore.tables import (
    EXCLUSION_COLUMNS,
    DataDictionary,
    no_gaps,
    require_columns,
    require_unique,
)
from featurestore.units import NOUNS, Counted, Noun, Observed, count_observations, for_people

IMAGE_COLUMNS = (
    "image_id",
    "patient_id",
    "lesion_id",
    "path",
    "sha256",
    "width",
    "height",
    "duplicate_cluster",
    "source",
    "licence",
    "attribution",
)
PATIENT_COLUMNS = ("patient_id", "person_id", "outcome", "site")
"""`patient_id` names what is observed and scored, a patient or a lesion (`Cohort.unit`), here and
wherever else we keep a key; `person_id` the person whom folds and the bootstrap keep together,
however many observations there are of one. Whoever is not known is called by the observation.
People read truer names (`featurestore.units`)."""


def patient_columns(outcome: Outcome) -> tuple[str, ...]:
    """`PATIENT_COLUMNS`, with all that is known of an outcome of this kind."""
    before, after = PATIENT_COLUMNS[:2], PATIENT_COLUMNS[3:]
    return (*before, *OUTCOME_COLUMNS[outcome.kind], *after)


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Images, patients and their dictionary, joined by id only; row order means nothing.

    Attributes:
        name: Name for reports.
        outcome: The outcome that `patients.outcome` holds.
        images: One row an image, at least `IMAGE_COLUMNS`; acquisition columns follow.
        patients: One row an observation: `patient_columns`, then one column per dictionary entry.
        dictionary: What each patient column is.
        exclusions: One row for everything left out anywhere: `EXCLUSION_COLUMNS`, where entity is
            `image`, `patient`, `specimen`, `column` or `value`.
        linkage: How images and patient rows were matched: `patient`, `label_matched` or `none`.
        synthetic: Whether any row was made by melafuse itself.
        notes: Sentences that every report prints (provenance, assumptions, oracle AUROC).
        facts: Known numbers about the cohort, for example `{"oracle_auroc": 0.91}`.
        unmapped: `file: column` of the columns that no source understood.
        file_order: Place of each patient in the files; no result depends on it, the audit asks
            whether it predicts the outcome. Empty where the order is not known.
        donors: With linkage `label_matched` the cohort whose rows were lent to the images'
            patients; else None.
        gaps: Why values of the patients table are missing, as far as a source says it
            (`featurestore.tables.gaps`); no result depends on it.
        features: For each embedding that came from elsewhere the digest of its row in the store,
            by image id.
        images_measured: When the pictures were taken.
        features_measured: When what embeddings from elsewhere show was taken, by their name.
        known_on: By time of measurement the patient column with its day.
        pairing: With linkage `label_matched` one row a patient: `patient_id, donor_id, outcome`.
        unit: What one observation is.
    """

    name: str
    outcome: Outcome
    images: pd.DataFrame
    patients: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame
    linkage: str = "patient"
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    facts: dict[str, float] = dataclasses.field(default_factory=dict)
    unmapped: tuple[str, ...] = ()
    file_order: Mapping[str, int] = dataclasses.field(default_factory=dict)
    donors: Cohort | None = None
    pairing: pd.DataFrame | None = None
    features: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    gaps: pd.DataFrame = dataclasses.field(default_factory=no_gaps)
    images_measured: str = "unknown"
    features_measured: Mapping[str, str] = dataclasses.field(default_factory=dict)
    known_on: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unit: Observed = "patient"

    def __post_init__(self) -> None:
        require_columns(self.images, IMAGE_COLUMNS, "the images table")
        columns = patient_columns(self.outcome)
        require_columns(self.patients, columns, "the patients table")
        require_columns(self.exclusions, EXCLUSION_COLUMNS, "the exclusions table")
        require_columns(self.patients, self.dictionary.names, "the patients table")
        require_unique(self.images["image_id"], "image_id in the images table")
        require_unique(self.patients["patient_id"], "patient_id in the patients table")
        unknown = sorted(set(self.images["patient_id"]) - set(self.patients["patient_id"]))
        if unknown:
            raise DataError(
                f"{len(unknown)} {self.noun.many} of the images table are not in the patients "
                f"table: {name_some(unknown)}"
            )

    @property
    def pictures(self) -> pd.DataFrame:
        """Images that have a picture file; others are slides of which only features are here."""
        return self.images[self.images["path"] != ""]

    @property
    def n_patients(self) -> int:
        """Number of observations."""
        return len(self.patients)

    @property
    def noun(self) -> Noun:
        """What observations are called."""
        return NOUNS[self.unit]

    @property
    def counted(self) -> Counted:
        """How many observations there are, of how many people."""
        return count_observations(self.patients, self.unit)

    @property
    def has_event(self) -> pd.Series:
        """Whether the outcome was seen, of each row of the patients table, whatever its kind."""
        return self.patients["outcome"] == EVENT

    @property
    def n_events(self) -> int:
        """Number of patients of whom the outcome was seen."""
        return int(self.has_event.sum())

    @property
    def prevalence(self) -> float:
        """Share of patients of whom the outcome was seen; of times to an event no risk."""
        return float(self.has_event.mean())

    def for_people(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of these patients or lesions with its ids called what people call them."""
        return for_people(table, self.patients, self.unit)

    def measured_of(self, encoder: str) -> str:
        """When what an encoder looks at was taken; `unknown` where nobody said."""
        return self.features_measured.get(encoder, self.images_measured)

    def day_on_clock(self, column: str) -> pd.Series:
        """Days in a column of times, since the time zero of the outcome; by patient id.

        Where the outcome counts from a column that is not among the patients', nothing is known.
        """
        rule = self.outcome.rule
        days = self.patients[column].astype(float)
        if isinstance(rule, TimesRule):
            origin = self.patients.get(rule.origin) if rule.origin else 0.0
            days = days * np.nan if origin is None else (days - origin) * DAYS_IN[rule.unit]
        return days.set_axis(self.patients["patient_id"].to_numpy())

    def target(self, patient_ids: Sequence[str] | np.ndarray) -> Target:
        """What is known of the outcome of some patients, in their order."""
        rows = self.patients.set_index("patient_id").loc[list(patient_ids)]
        return TARGETS[self.outcome.kind](rows)

    def digest(self) -> str:
        """SHA-256 over the content that any result depends on.

        The name and the order of rows do not matter.
        """
        images = self.images[["image_id", "patient_id", "sha256", "duplicate_cluster"]]
        parts = [
            self.outcome.name,
            self.linkage,
            _table_text(images, "image_id"),
            _table_text(self.patients[sorted(self.patients.columns)], "patient_id"),
            json.dumps(self.dictionary.to_records(), sort_keys=True),
        ]
        if self.features:
            features = {name: dict(keys) for name, keys in self.features.items()}
            parts.append(json.dumps(features, sort_keys=True))
        if self.outcome.horizons:
            parts.append(json.dumps(self.outcome.horizons))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _table_text(table: pd.DataFrame, key: str) -> str:
    return str(table.sort_values(key).to_csv(index=False))
