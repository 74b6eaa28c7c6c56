"""What a fitted model says of the patients of an outer test part."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Predictions of p test patients.

    Attributes:
        patients: Sorted ids. Shape (p,).
        columns: What the predictions table has of this kind of outcome; each an array (p,) or one
            value for all.
        record: What was decided on inner data, plain JSON.
    """

    patients: np.ndarray
    columns: Mapping[str, Any]
    record: dict[str, Any]
