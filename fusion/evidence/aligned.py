"""The predictions table as aligned arrays: the same patients, in the same order, for every arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from fusion.arms import ABLATION
from fusion.endpoints import ENDPOINTS
from fusion.models import MODELS, names_of

FLOORS = frozenset((*names_of("floor"), *(f for e in ENDPOINTS.values() for f in e.floors)))
REFERENCES = frozenset(names_of("clinical reference"))
EXCHANGED = frozenset(name for name, kind in MODELS.items() if kind.permuted)
"""Models whose outcomes are exchanged anew in every outer fold: no outcome that tests one
fold trains the model of another (`fusion.evaluation.permutation`)."""

KINDS = ("arm", "reference", "floor", "design")


@dataclasses.dataclass(frozen=True)
class RepeatPredictions:
    """Out-of-fold predictions of one repeat; arrays of shape (patients,).

    Attributes:
        repeat: Number of the repeat.
        fold: Outer fold in which the patient was a test patient.
        score: Mean logit.
        probability: Predicted probability.
        threshold: Threshold of the patient's fold, chosen on its inner data.
    """

    repeat: int
    fold: np.ndarray
    score: np.ndarray
    probability: np.ndarray
    threshold: np.ndarray

    @property
    def decision(self) -> np.ndarray:
        """1.0 where the probability reaches the threshold of the patient's fold."""
        return (self.probability >= self.threshold).astype(float)


class NamedArm(Protocol):
    """What is known of an arm of any kind of endpoint, before its numbers."""

    @property
    def arm(self) -> str:
        """Name of the arm."""
        ...

    @property
    def model(self) -> str:
        """Name of its model."""
        ...

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model looks at."""
        ...

    @property
    def kind(self) -> str:
        """`arm`, `reference`, `floor` or `design`."""
        ...


class ArmLike(NamedArm, Protocol):
    """An arm with predictions of any kind; see `ArmPredictions`."""

    @property
    def design(self) -> str:
        """See `fusion.evaluation.designs`."""
        ...


@dataclasses.dataclass(frozen=True)
class ArmPredictions:
    """Predictions of one arm in all repeats.

    Attributes:
        arm: Its name.
        model: Name of its model.
        modalities: What the model looks at.
        kind: `arm`, `reference`, `floor`, or `design` for arms outside the ablation table.
        repeats: Its predictions.
        design: See `fusion.evaluation.designs`.
    """

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    repeats: tuple[RepeatPredictions, ...]
    design: str = ABLATION

    @property
    def dependent_folds(self) -> int:
        """Outer folds of a repeat whose test patients trained each other's models.

        1 where none did, so that models held fixed are all that an interval needs: on another
        cohort, and where outcomes are exchanged anew in every fold. The one place that says so.
        """
        return 1 if self.model in EXCHANGED else len(np.unique(self.repeats[0].fold))


@dataclasses.dataclass(frozen=True)
class AlignedPredictions:
    """All arms over the same sorted patients.

    Attributes:
        patient_ids: Shape (patients,).
        y: Outcomes, 0.0 or 1.0. Shape (patients,).
        arms: Arms first, then references, floors and other designs; of the baseline's model
            first.
    """

    patient_ids: np.ndarray
    y: np.ndarray
    arms: tuple[ArmPredictions, ...]

    def __getitem__(self, name: str) -> ArmPredictions:
        return next(arm for arm in self.arms if arm.arm == name)


@dataclasses.dataclass(frozen=True)
class ArmRows:
    """Rows of one arm, whatever the kind of endpoint.

    Attributes:
        arm: Its name.
        model: Name of its model.
        modalities: What the model looks at.
        kind: As in `ArmPredictions`.
        design: See `fusion.evaluation.designs`.
        repeats: By repeat its rows of the predictions table, in the order of the patients.
    """

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    design: str
    repeats: dict[int, pd.DataFrame]


def align(predictions: pd.DataFrame, baseline: str) -> AlignedPredictions:
    """Brings the predictions table of one run into arrays.

    Args:
        predictions: The table of `fusion.evaluation.predictions`; row order means nothing.
        baseline: Name of the arm that differences are taken against.

    Raises:
        DataError: As `align_rows`.
    """
    outcomes, rows = align_rows(predictions, baseline, ["y"])
    arms = tuple(
        ArmPredictions(
            arm.arm,
            arm.model,
            arm.modalities,
            arm.kind,
            tuple(
                RepeatPredictions(
                    repeat,
                    *(part[c].to_numpy() for c in ("fold", "score", "probability", "threshold")),
                )
                for repeat, part in arm.repeats.items()
            ),
            arm.design,
        )
        for arm in rows
    )
    y = outcomes["y"].to_numpy(dtype=float)
    return AlignedPredictions(outcomes.index.to_numpy(dtype=object), y, arms)


def align_rows(
    predictions: pd.DataFrame, baseline: str, known: Sequence[str]
) -> tuple[pd.DataFrame, list[ArmRows]]:
    """Sorts the predictions table of one run by arm, repeat and patient.

    Args:
        predictions: The table of `fusion.evaluation.predictions`; row order means nothing.
        baseline: Name of the arm that differences are taken against.
        known: Columns of what is known of a patient, the same in every row of his.

    Returns:
        What is known, one row a patient, sorted by `patient_id`, which is the index; and the arms:
        arms first, then references, floors and other designs, of the baseline's model first.

    Raises:
        DataError: The table is empty or of several runs, lacks the baseline, an arm has other
            patients or repeats than the rest, or a patient has two outcomes.
    """
    if predictions.empty:
        raise DataError("there are no predictions to report: no arm was fitted on all folds")
    runs = sorted(set(predictions["run"]))
    if len(runs) > 1:
        raise DataError(f"predictions of several runs in one table: {name_some(runs)}")
    names = sorted(set(predictions["arm"]))
    if baseline not in names:
        raise DataError(
            f"the baseline {baseline!r} has no predictions (choices.json says why an arm is "
            f"left out); name another as ablation.reference: {name_some(names, 12)}"
        )
    by_patient = predictions.groupby("patient_id", sort=True)[list(known)]
    outcomes = by_patient.min()
    differ = (outcomes != by_patient.max()).any(axis=1)
    if differ.any():
        torn = list(outcomes.index[differ])
        raise DataError(f"patients with two outcomes in the predictions: {name_some(torn)}")
    repeats = sorted(set(predictions["repeat"]))
    by_arm = {str(name): rows for name, rows in predictions.groupby("arm")}
    arms = [_arm(name, rows, outcomes.index, repeats) for name, rows in by_arm.items()]
    first = next(a.model for a in arms if a.arm == baseline)
    arms.sort(
        key=lambda a: (
            KINDS.index(a.kind),
            a.model != first,
            a.model,
            len(a.modalities),
            a.modalities,
            a.arm,
        )
    )
    return outcomes, arms


def _arm(name: str, rows: pd.DataFrame, patients: pd.Index, repeats: list[int]) -> ArmRows:
    model = str(rows["model"].iloc[0])
    text = str(rows["modalities"].iloc[0])
    design = str(rows["design"].iloc[0])
    kind = "floor" if model in FLOORS else "reference" if model in REFERENCES else "arm"
    kind = kind if design == ABLATION else "design"
    parts = {}
    for repeat in repeats:
        part = rows[rows["repeat"] == repeat].set_index("patient_id")
        if (
            len(part) != len(patients)
            or not part.index.is_unique
            or not patients.isin(part.index).all()
        ):
            raise DataError(
                f"arm {name!r} predicts {part.index.nunique()} ids in repeat {repeat}, other arms "
                "or "
                f"repeats {len(patients)}: arms are compared on the same ids only"
            )
        parts[int(repeat)] = part.loc[patients]
    modalities = tuple(text.split("+")) if text else ()
    return ArmRows(name, model, modalities, kind, design, parts)
