"""What one observation of a study is, in words: the one place that takes its noun.

Inside, the key of an observation is called `patient_id` and the person it is of `person_id`,
whatever an observation is (`featurestore.cohort.tables`). Whatever people read takes the noun from
here, and names the two columns by `KEY_NAMES` where an observation is a lesion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import pandas as pd

Observed = Literal["patient", "lesion"]
"""What one observation is: what is scored, and what n counts."""

KEY_NAMES: dict[Observed, Mapping[str, str]] = {
    "patient": {},
    "lesion": {
        "patient_id": "lesion_id",
        "person_id": "patient_id",
        "lesion_id": "source_lesion_id",  # as the source names it, empty where it names none
    },
}
"""What people call our columns of ids, in tables that they read."""


@dataclasses.dataclass(frozen=True)
class Noun:
    """What observations are called.

    Attributes:
        one: One of them.
        many: Several.
    """

    one: str
    many: str

    def counted(self, n: int) -> str:
        """A number of them: `1 lesion`, `1,641 lesions`."""
        return f"{n:,} {self.one if n == 1 else self.many}"


def counted(n: int, one: str, many: str = "") -> str:
    """A number of anything: `1 image`, `60 images`; `many` where it is not `one` with an s."""
    return Noun(one, many or f"{one}s").counted(n)


NOUNS: dict[Observed, Noun] = {
    "patient": Noun("patient", "patients"),
    "lesion": Noun("lesion", "lesions"),
}


@dataclasses.dataclass(frozen=True)
class Counted:
    """Observations and the people they are of.

    Attributes:
        unit: What one observation is.
        n: Observations.
        persons: Patients who are known.
        nameless: Observations whose patient is not known; each is a group of its own.
    """

    unit: Observed
    n: int
    persons: int
    nameless: int = 0

    @property
    def noun(self) -> Noun:
        """What observations are called."""
        return NOUNS[self.unit]

    @property
    def drawn(self) -> Noun:
        """What folds keep together and a bootstrap draws: lesions, where no patient is known."""
        alone = self.unit == "lesion" and self.nameless == self.n
        return NOUNS["lesion" if alone else "patient"]

    @property
    def text(self) -> str:
        """`30 patients`, `45 lesions of 30 patients`, or what is known of whose they are."""
        counted = self.noun.counted(self.n)
        if self.unit == "patient":
            return counted
        if not self.nameless:
            return f"{counted} of {NOUNS['patient'].counted(self.persons)}"
        if self.nameless == self.n:
            return f"{counted} of unknown patients"
        known = self.noun.counted(self.n - self.nameless)
        people = NOUNS["patient"].counted(self.persons)
        return f"{counted} ({known} of {people}, {self.nameless:,} of unknown patients)"


def worded(text: str, noun: Noun) -> str:
    """A fixed text with its `{patients}` and `{patient}` called what they are."""
    return text.replace("{patients}", noun.many).replace("{patient}", noun.one)


NO_OBSERVATIONS = Counted("patient", 0, 0)


def count_observations(patients: pd.DataFrame, unit: Observed) -> Counted:
    """Counts the rows of a patients table, and whose they are.

    Args:
        patients: Patients table with `patient_id` and `person_id`; one whose person is not known
            has the key of the observation in both.
        unit: What one row is.
    """
    if unit == "patient":
        return Counted(unit, len(patients), len(patients))
    known = patients["person_id"] != patients["patient_id"]
    persons = int(patients.loc[known, "person_id"].nunique())
    return Counted(unit, len(patients), persons, int((~known).sum()))


def for_people(table: pd.DataFrame, patients: pd.DataFrame, unit: Observed) -> pd.DataFrame:
    """A table with its columns of ids called what people call them.

    Of lesions it names the patient, too.

    Args:
        table: A table; one without `patient_id` stays as it is.
        patients: Patients table with `patient_id` and `person_id` of everyone in it.
        unit: What one observation is.
    """
    if unit == "patient" or "patient_id" not in table.columns:
        return table
    if "person_id" not in table.columns:
        persons = patients.set_index("patient_id")["person_id"]
        table = table.copy()
        place = list(table.columns).index("patient_id") + 1
        table.insert(place, "person_id", table["patient_id"].map(persons).astype("str"))
    return table.rename(columns=dict(KEY_NAMES[unit]))


def as_kept(table: pd.DataFrame) -> pd.DataFrame:
    """A table that people read, with our names again."""
    if "lesion_id" not in table.columns or "patient_id" not in table.columns:
        return table.rename(columns={"lesion_id": "patient_id"})
    return table.rename(columns={theirs: ours for ours, theirs in KEY_NAMES["lesion"].items()})
