"""What arms say where missing values are handled in another way, on the same patients."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.cohort import Cohort
from fusion.evaluation.sensitivity import ANALYSES, COMPLETE, complete_cases
from fusion.evidence.aligned import AlignedPredictions
from fusion.evidence.among import sample_among
from fusion.metrics import Estimate, draw_weights

LEAST = 10
"""Patients with the outcome, and without it, below which an analysis has no numbers."""


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """One analysis of one arm.

    Attributes:
        arm: Name of the arm in the ablation table.
        analysis: One of `fusion.evaluation.sensitivity.ANALYSES`.
        n: Patients who are scored: those with all columns of the clinical reference for complete
            cases, else all.
        events: Those with the outcome.
        shown: AUROC of the arm as it is in the ablation table, among these patients.
        auroc: AUROC of the analysis.
        change: That minus the first, paired; None where there are too few patients.
        p: Two-sided p of the change, not adjusted.
    """

    arm: str
    analysis: str
    n: int
    events: int
    shown: Estimate | None
    auroc: Estimate | None
    change: Estimate | None
    p: float


def sensitivity(
    cohort: Cohort, aligned: AlignedPredictions, clusters: np.ndarray, draws: int, seed: int
) -> tuple[Sensitivity, ...]:
    """Compares the analyses with the arms that they are of; empty where none was made.

    Args:
        cohort: Knows whose values are missing.
        aligned: Predictions.
        clusters: Cluster of each patient. Shape (patients,).
        draws: Bootstrap draws.
        seed: Of the draws, which all analyses share.
    """
    made = [arm for arm in aligned.arms if arm.design in ANALYSES]
    if not made:
        return ()
    weights = draw_weights(clusters, draws, seed)
    patients = cohort.patients.set_index("patient_id").loc[aligned.patient_ids]
    complete = complete_cases(patients, cohort.dictionary).to_numpy(dtype=bool)
    found = []
    for arm in sorted(made, key=lambda a: (a.model, ANALYSES.index(a.design))):
        shown = next((a for a in aligned.arms if a.arm == _of(arm.arm, arm.design)), None)
        if shown is None:
            continue
        member = complete if arm.design == COMPLETE else np.ones(len(aligned.y), dtype=bool)
        n, events = int(member.sum()), int(aligned.y[member].sum())
        if min(events, n - events) < LEAST:
            nothing = (None, None, None, float("nan"))
            found.append(Sensitivity(shown.arm, arm.design, n, events, *nothing))
            continue
        before, after = (
            sample_among(aligned.y, a, "auroc", member, weights, clusters) for a in (shown, arm)
        )
        test = after.against(before)
        estimates = before.estimate, after.estimate, test.estimate
        found.append(Sensitivity(shown.arm, arm.design, n, events, *estimates, test.p))
    return tuple(found)


def _of(arm: str, design: str) -> str:
    """Name of the arm that an analysis is of (`sensitivity_arms` makes the other way)."""
    return arm.removesuffix(f", {design}")
