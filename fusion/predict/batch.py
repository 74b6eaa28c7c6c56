"""What scoring works on: loaded arms, decoded cases, and the features of some patients."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from fusion.arms import Arm
from fusion.bundle.record import ModelRecord, TimesModelRecord
from fusion.features import FeatureTable
from fusion.predict.cases import Case
from fusion.predict.encoders import Squares


@dataclasses.dataclass(frozen=True)
class LoadedArm:
    """One arm of a bundle, ready.

    Attributes:
        record: What the bundle says of it.
        arm: Its modalities.
        model: Fitted on all training patients.
        decided: What inner data decided about its scores: a calibration, or cut points.
        replicates: Fitted on bootstrap draws of the training patients.
    """

    record: ModelRecord | TimesModelRecord
    arm: Arm
    model: Any
    decided: Any
    replicates: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A case whose pictures are decoded.

    Attributes:
        case: The case.
        squares: One an image.
    """

    case: Case
    squares: tuple[Squares, ...]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Features of some patients.

    Attributes:
        table: One row a picture, or one of a patient without any.
        rows: Rows of each patient.
    """

    table: FeatureTable
    rows: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmScore:
    """What one arm says of a patient, whatever the kind of outcome.

    Attributes:
        arm: Its name in the study.
        used: Modalities that the score is made of.
        absent: Modalities that the arm knows and the patient lacks.
    """

    arm: str
    used: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


LEVEL = 0.95
"""Level of all intervals."""
