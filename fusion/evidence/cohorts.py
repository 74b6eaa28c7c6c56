"""What a report says of the cohort, whatever the kind of endpoint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featurestore.cohort import Cohort
from featurestore.errors import DataError, name_some
from fusion.evidence.types import FlowStep

OF_A_PATIENT = r"^(patient|lesion) .+? left out: "
"""Beginning of reasons that name an observation, which a report does not."""


def require_outcomes(
    cohort: Cohort, patient_ids: np.ndarray, known: Mapping[str, np.ndarray]
) -> None:
    """Refuses predictions that are not of this cohort.

    Args:
        cohort: The cohort.
        patient_ids: Who was predicted. Shape (patients,).
        known: By column of the cohort's patients what the predictions say of it. Shape (patients,).

    Raises:
        DataError: The cohort lacks a patient, or says something else of one.
    """
    patients = cohort.patients.set_index("patient_id")
    unknown = [p for p in patient_ids if p not in patients.index]
    if unknown:
        raise DataError(
            f"predictions of {cohort.noun.many} that the cohort lacks: {name_some(unknown)}"
        )
    other = np.zeros(len(patient_ids), dtype=bool)
    for column, values in known.items():
        other |= patients.loc[patient_ids, column].to_numpy(dtype=float) != values
    if other.any():
        raise DataError(
            "predictions were made for other outcomes than the cohort's: "
            f"{name_some(list(patient_ids[other]))}"
        )


def flow(cohort: Cohort) -> tuple[FlowStep, ...]:
    """Everything that was left out, counted by stage and reason, without ids."""
    reasons = cohort.exclusions["reason"].astype("str")
    nameless = reasons.str.replace(OF_A_PATIENT, r"its \1 left out: ", regex=True)
    left_out = cohort.exclusions.assign(reason=nameless)
    steps = left_out.groupby(["entity", "stage", "reason"], sort=True).size()
    return tuple(
        FlowStep(str(entity), str(stage), str(reason), int(n))
        for entity, stage, reason, n in steps.reset_index().itertuples(index=False, name=None)
    )
