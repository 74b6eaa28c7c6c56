"""How many patients have an outcome, before images are inspected or a cohort is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from featurestore.outcomes import Outcome
from featurestore.sources import SourceTables
from featurestore.sources.joining import join_sources


@dataclasses.dataclass(frozen=True)
class OutcomeCounts:
    """Patients by outcome.

    Attributes:
        patients: Patients of all tables.
        eligible: Patients that the outcome is asked of.
        events: Eligible patients with the outcome.
        others: Eligible patients without.
    """

    patients: int
    eligible: int
    events: int
    others: int

    @property
    def least(self) -> int:
        """Patients of the smaller class."""
        return min(self.events, self.others)


def count_outcomes(tables: Sequence[SourceTables], linkage: str, outcome: Outcome) -> OutcomeCounts:
    """Counts patients by outcome.

    Raises:
        DataError: The tables cannot be joined, or lack what the outcome needs.
    """
    joined = join_sources(tables, linkage)
    patients, dictionary = joined.patients, joined.dictionary
    labels = outcome.labels(patients, joined.images, dictionary).reindex(patients["patient_id"])
    eligible = outcome.eligible(patients, dictionary).to_numpy()
    events = int((labels[eligible] == 1).sum())
    others = int((labels[eligible] == 0).sum())
    return OutcomeCounts(len(patients), int(eligible.sum()), events, others)
