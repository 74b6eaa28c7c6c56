"""How many patients have an outcome, before images are inspected or a cohort is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from featurestore.outcomes import EVENT, Outcome
from featurestore.outcomes.target import Kind
from featurestore.sources import SourceTables
from featurestore.sources.joining import join_sources


@dataclasses.dataclass(frozen=True)
class OutcomeCounts:
    """Patients by outcome.

    Attributes:
        patients: Patients of all tables.
        eligible: Patients that the outcome is asked of.
        events: Eligible patients with the outcome.
        others: Eligible patients without; of times to an event those censored or with a competing
            event.
        kind: Kind of the outcome.
    """

    patients: int
    eligible: int
    events: int
    others: int
    kind: Kind = "binary"

    @property
    def least(self) -> int:
        """Patients of whom there must be enough: the smaller class, or those with the event."""
        return self.events if self.kind == "time_to_event" else min(self.events, self.others)

    @property
    def words(self) -> str:
        """Patients of whom it is known, in words."""
        if self.kind == "time_to_event":
            return f"{self.events:,} with the event and {self.others:,} followed without it"
        return f"{self.events:,} with and {self.others:,} without it"


def count_outcomes(tables: Sequence[SourceTables], linkage: str, outcome: Outcome) -> OutcomeCounts:
    """Counts patients by outcome.

    Raises:
        DataError: The tables cannot be joined, or lack what the outcome needs.
    """
    joined = join_sources(tables, linkage)
    patients, dictionary = joined.patients, joined.dictionary
    labels = outcome.labels(patients, joined.images, dictionary).reindex(patients["patient_id"])
    eligible = outcome.eligible(patients, dictionary).to_numpy()
    known = labels[eligible].dropna()
    events = int((known == EVENT).sum())
    others = len(known) - events
    return OutcomeCounts(len(patients), int(eligible.sum()), events, others, outcome.kind)
