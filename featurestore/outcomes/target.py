"""What is known of each patient's outcome, in the form that its kind has.

A target travels where models are fitted and scored. A new kind of endpoint adds what it knows of a
patient here and a line to `TARGETS`; what is done with it is registered in `fusion.endpoints`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, Self

import numpy as np
import pandas as pd

Kind = Literal["binary"]
"""Kinds of endpoints."""


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """Outcomes of n rows.

    Attributes:
        kind: Kind of the endpoint.
        event: 1.0 where the outcome was seen, else 0.0; float64, shape (n,).
    """

    kind: Kind
    event: np.ndarray

    @classmethod
    def binary(cls, event: np.ndarray) -> Self:
        """Outcomes that are there or not, whenever they came."""
        return cls("binary", np.asarray(event, dtype=float))

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: np.ndarray) -> Self:
        """Returns the rows given by an integer or boolean index, in that order."""
        return dataclasses.replace(self, event=self.event[rows])


TARGETS: dict[Kind, Callable[[pd.DataFrame], Target]] = {
    "binary": lambda patients: Target.binary(patients["outcome"].to_numpy(dtype=float)),
}
"""By kind: reads the target out of rows of a cohort's patients table."""
