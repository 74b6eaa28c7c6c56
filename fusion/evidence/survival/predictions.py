"""The predictions table of times to an event as aligned arrays, the same patients for every arm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from fusion.arms import ABLATION
from fusion.endpoints import find_endpoint
from fusion.evidence.aligned import EXCHANGED, align_rows
from fusion.metrics.survival import CENSORED, EVENT, Times, checked_times

COMPETING = 2
KNOWN = ("event", "time", "entry")
"""Columns of what is known of a patient."""


@dataclasses.dataclass(frozen=True)
class TimesRepeat:
    """Out-of-fold predictions of one repeat; arrays of shape (patients,) where not said otherwise.

    Attributes:
        repeat: Number of the repeat.
        fold: Outer fold in which the patient was a test patient.
        score: Log hazard ratio, on the scale of the model of the patient's fold.
        risk_group: Group by cuts that were chosen on inner data of the fold, 0 the lowest risk.
        risk: Probability of the event by each horizon. Shape (patients, horizons).
    """

    repeat: int
    fold: np.ndarray
    score: np.ndarray
    risk_group: np.ndarray
    risk: np.ndarray


@dataclasses.dataclass(frozen=True)
class ArmTimes:
    """Predictions of one arm in all repeats; see `aligned.ArmPredictions`."""

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    repeats: tuple[TimesRepeat, ...]
    design: str = ABLATION

    @property
    def folds(self) -> int:
        """Outer folds of a repeat; 1 where no outcome that tests trained a model of another fold.

        That is how `fusion.metrics.cross_validated` counts them.
        """
        return 1 if self.model in EXCHANGED else len(np.unique(self.repeats[0].fold))


@dataclasses.dataclass(frozen=True)
class AlignedTimes:
    """All arms over the same sorted patients.

    Attributes:
        patient_ids: Shape (patients,).
        times: Their follow-up, in days since time zero.
        horizons: Days by which risks are predicted, ascending. Shape (horizons,).
        arms: In the order of `aligned.AlignedPredictions`.
    """

    patient_ids: np.ndarray
    times: Times
    horizons: np.ndarray
    arms: tuple[ArmTimes, ...]

    def __getitem__(self, name: str) -> ArmTimes:
        return next(arm for arm in self.arms if arm.arm == name)


def align_times(predictions: pd.DataFrame, baseline: str) -> AlignedTimes:
    """Brings the predictions table of one run into arrays.

    Args:
        predictions: The table of `fusion.evaluation.predictions`; row order means nothing.
        baseline: Name of the arm that differences are taken against.

    Raises:
        DataError: As `aligned.align_rows`, or follow-up is none (`checked_times`).
    """
    outcomes, rows = align_rows(predictions, baseline, KNOWN)
    begins = find_endpoint("time_to_event").by_horizon
    columns = [c for c in predictions.columns if c.startswith(begins)]
    horizons = np.array([float(c.removeprefix(begins)) for c in columns])
    order = np.argsort(horizons, kind="stable")
    columns = [columns[k] for k in order]
    event, time, entry = (outcomes[column].to_numpy(dtype=float) for column in KNOWN)
    codes = (CENSORED, EVENT, COMPETING)
    arms = tuple(
        ArmTimes(
            arm.arm,
            arm.model,
            arm.modalities,
            arm.kind,
            tuple(
                TimesRepeat(
                    repeat,
                    part["fold"].to_numpy(),
                    part["score"].to_numpy(dtype=float),
                    part["risk_group"].to_numpy(),
                    part[columns].to_numpy(dtype=float),
                )
                for repeat, part in arm.repeats.items()
            ),
            arm.design,
        )
        for arm in rows
    )
    return AlignedTimes(
        outcomes.index.to_numpy(dtype=object),
        checked_times(time, event, entry, codes=codes),
        horizons[order],
        arms,
    )
