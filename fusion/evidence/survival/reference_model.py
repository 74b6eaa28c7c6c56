"""Columns held against times to an event, for the directions of known risk factors."""

from __future__ import annotations

import numpy as np

from featurestore.cohort import Cohort
from featurestore.outcomes import ENTRY, TIME
from fusion.evidence.reference_model import Judge
from fusion.metrics.survival import EVENT, checked_times, harrell_c


def by_concordance(cohort: Cohort) -> Judge:
    """Holds columns against times by Harrell's C; competing events censor."""
    patients = cohort.patients
    time, event, entry = (patients[c].to_numpy(float) for c in (TIME, "outcome", ENTRY))
    times = checked_times(time, event, entry, codes=(0, 1, 2)).cause_specific()

    def of(value: np.ndarray, known: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        drawn = None if weights is None else weights[:, known]
        return harrell_c(times.take(known), value[known], drawn)

    return Judge((times.event == EVENT).astype(float), of)
