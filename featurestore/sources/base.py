"""What a source is: a config section that can read itself into images and patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd

from featurestore.outcomes import NamedTexts
from featurestore.progress import SILENT, Progress
from featurestore.tables import DataDictionary, no_gaps
from featurestore.units import Observed

# What an images table must have when it leaves a source; the rest is found by inspection.
SOURCE_IMAGE_COLUMNS = (
    "image_id",
    "patient_id",
    "lesion_id",
    "path",
    "source",
    "licence",
    "attribution",
)


NO_IMAGES = pd.DataFrame(columns=list(SOURCE_IMAGE_COLUMNS), dtype="str")
"""Images of a source that has none."""


@dataclasses.dataclass(frozen=True)
class ReadContext:
    """Where a source may look.

    Attributes:
        data_root: Folder that relative paths of the source start from.
        scratch: Folder for files that a source makes itself (the synthetic cohort).
        seed: Seed of the run.
        progress: Told of long work of a source (drawing the synthetic cohort).
        named: What the outcome names as values, by the column they stand in; a text that is named
            is never missing.
        unit: What one observation is. A source that knows lesions makes its rows of it, others of
            patients whatever is asked.
        seen: Folder that runs share: what was seen of image files, by their content, and copies of
            what a source made itself. By default `scratch`, and no copies.
    """

    data_root: Path
    scratch: Path
    seed: int = 0
    progress: Progress = SILENT
    named: Mapping[str, NamedTexts] = dataclasses.field(default_factory=dict)
    unit: Observed = "patient"
    seen: Path | None = None


@dataclasses.dataclass(frozen=True)
class SourceTables:
    """What a source yields.

    Attributes:
        images: One row an image: `SOURCE_IMAGE_COLUMNS` (path absolute, as text), then acquisition
            and label columns. May have no rows.
        patients: One row a patient: `patient_id`, optionally `site`, then one column per entry of
            `dictionary`, and label columns that are in no dictionary. Rows in the order of the
            file. May have no rows. Where lesions are asked for and known, one row a lesion: its
            key is `patient_id`, here and in `images`, and `person_id` is its patient, or the key
            where the patient is not known.
        dictionary: What each patient column is.
        exclusions: Rows `entity, id, stage, reason` for everything that was left out.
        notes: Sentences that every report prints.
        facts: Known numbers about the source.
        synthetic: Whether melafuse made the data itself.
        unmapped: `file: column` of the columns that were not understood and are not used.
        gaps: Why values are missing (`featurestore.tables.gaps`).
    """

    images: pd.DataFrame
    patients: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame
    notes: tuple[str, ...] = ()
    facts: dict[str, float] = dataclasses.field(default_factory=dict)
    synthetic: bool = False
    unmapped: tuple[str, ...] = ()
    gaps: pd.DataFrame = dataclasses.field(default_factory=no_gaps)

    @property
    def of_lesions(self) -> bool:
        """Whether its rows are lesions."""
        return "person_id" in self.patients.columns


class Source(Protocol):
    """A config section (a pydantic model with a literal `kind`) that reads itself."""

    kind: str

    def read(self, context: ReadContext) -> SourceTables:
        """Reads the files.

        Raises:
            DataError: A file is missing, of another format, or contradicts itself; one line that
                names file, column or ids, and what to do.
        """
        ...
