"""What scores of each kind of outcome are; a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from featurestore.outcomes import Target
from fusion.bundle.record import BundleRecord, ModelRecord, TimesModelRecord
from fusion.predict.batch import ArmScore, Batch, LoadedArm
from fusion.predict.scores_binary import BinaryScoring
from fusion.predict.scores_times import TimesScoring


class Scoring(Protocol):
    """Scores of one bundle.

    Attributes:
        contributions: What contributions are differences of, in words.
        columns: Columns of a CSV file about the score of the first arm.
    """

    contributions: str
    columns: tuple[str, ...]

    def load(self, record: ModelRecord | TimesModelRecord) -> Any:
        """What inner data decided about the scores of an arm."""
        ...

    def target(self, entry: np.ndarray) -> Target:
        """What is known of the outcome of patients who are free of it at entry; (n,) days."""
        ...

    def raw(self, arm: LoadedArm, batch: Batch) -> np.ndarray:
        """What contributions are differences of, of each patient; shape (patients,)."""
        ...

    def scores(self, arm: LoadedArm, batch: Batch) -> list[ArmScore]:
        """What an arm says of each patient."""
        ...

    def numbers(self, score: ArmScore) -> Iterator[float]:
        """Numbers that must be finite."""
        ...

    def probabilities(self, score: ArmScore) -> Iterator[float]:
        """Numbers that must lie between 0 and 1."""
        ...

    def first(self, score: ArmScore) -> dict[str, Any]:
        """The score of the first arm as plain JSON."""
        ...

    def other(self, score: ArmScore) -> dict[str, Any]:
        """The score of another arm as plain JSON."""
        ...

    def row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Cells of `columns`, of the JSON of a prediction or of a failure."""
        ...

    def title(self, record: Mapping[str, Any]) -> str:
        """The score in a few words, of the JSON of a prediction."""
        ...


SCORINGS: Mapping[str, Callable[[BundleRecord], Scoring]] = {
    "binary": BinaryScoring,
    "time_to_event": TimesScoring,
}
"""By kind of the outcome (`fusion.endpoints`)."""


def scoring_of(record: BundleRecord) -> Scoring:
    """Scores of a bundle with this record."""
    return SCORINGS[record.kind](record)
