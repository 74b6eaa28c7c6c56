"""Added value among patients whom the clinical reference cannot tell apart."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from featurestore.cohort.tables import Cohort
from fusion import metrics
from fusion.evidence.aligned import REFERENCES, AlignedPredictions
from fusion.metrics.bootstrap import Estimate, draw_weights, interval
from fusion.models.floors import reference_columns

CALIPER = 0.2
"""Largest distance of a pair, in standard deviations of the reference's log odds (Austin 2011)."""

LEAST_PAIRS = 20
MOST_CELLS = 50_000_000
"""Events times others of the largest assignment that is solved."""


@dataclasses.dataclass(frozen=True)
class MatchedResult:
    """One arm among matched pairs.

    Attributes:
        arm: Name of the arm.
        auroc: Among the pairs.
        everyone: Among all patients with the reference's columns.
    """

    arm: str
    auroc: Estimate
    everyone: Estimate


@dataclasses.dataclass(frozen=True)
class Matched:
    """Patients with the outcome, each beside one without it whom the reference rates alike.

    Attributes:
        basis: What the pairs are alike in.
        pairs: Their number.
        eligible: Patients with the outcome who have the columns.
        results: The clinical reference first (which should have about 0.5), then the other arms on
            all modalities.
    """

    basis: str
    pairs: int
    eligible: int
    results: tuple[MatchedResult, ...]


def matched(cohort: Cohort, aligned: AlignedPredictions, draws: int, seed: int) -> Matched | None:
    """Pairs patients by the out-of-fold log odds of the clinical reference and scores all arms.

    One event and one non-event, at most `CALIPER` apart, so that as many pairs as possible are as
    close as possible (prognostic-score matching: Hansen 2008). Only patients whose columns of the
    reference are all known take part. The idea: Brinker et al. 2021, where an image's AUROC fell
    from 0.62 to 0.55 among patients matched on age, ulceration and thickness.

    Args:
        cohort: The cohort.
        aligned: Predictions.
        draws: Bootstrap draws, of pairs.
        seed: Of the draws.

    Returns:
        None without clinical reference, or with fewer than `LEAST_PAIRS` pairs.
    """
    columns = reference_columns(cohort.dictionary)
    reference = next((a for a in aligned.arms if a.model in REFERENCES), None)
    if columns is None or reference is None:
        return None
    patients = cohort.patients.set_index("patient_id").loc[aligned.patient_ids]
    complete = patients[list(columns.names)].notna().all(axis=1).to_numpy()
    score = reference.repeats[0].score
    events = np.flatnonzero(complete & (aligned.y == 1))
    others = np.flatnonzero(complete & (aligned.y == 0))
    if min(len(events), len(others)) < LEAST_PAIRS or len(events) * len(others) > MOST_CELLS:
        return None
    caliper = CALIPER * float(np.std(score[complete]))
    first, second = _pairs(score[events], score[others], caliper)
    if len(first) < LEAST_PAIRS:
        return None
    rows = np.concatenate([events[first], others[second]])
    pair = np.tile(np.arange(len(first)), 2).astype(str)
    among = draw_weights(pair, draws, seed).astype(float)
    anyone = np.flatnonzero(complete)
    over = draw_weights(aligned.patient_ids[anyone], draws, seed).astype(float)
    widest = max((len(a.modalities) for a in aligned.arms if a.kind == "arm"), default=0)
    shown = [a for a in aligned.arms if a.kind == "arm" and len(a.modalities) == widest]
    results = []
    for arm in (reference, *shown):
        scores = [r.score for r in arm.repeats]
        results.append(
            MatchedResult(
                arm.arm,
                _estimate(aligned.y, scores, rows, among),
                _estimate(aligned.y, scores, anyone, over),
            )
        )
    return Matched(columns.basis, len(first), len(events), tuple(results))


def _estimate(
    y: np.ndarray, scores: list[np.ndarray], rows: np.ndarray, weights: np.ndarray
) -> Estimate:
    value = float(np.mean([metrics.auroc(y[rows], s[rows])[0] for s in scores]))
    drawn = np.mean([metrics.auroc(y[rows], s[rows], weights) for s in scores], axis=0)
    return interval(value, drawn, int(min(y[rows].sum(), (1 - y[rows]).sum())))


def _pairs(events: np.ndarray, others: np.ndarray, caliper: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the partners of each pair within the caliper."""
    distance = np.abs(events[:, None] - others[None, :])
    too_far = distance > caliper
    # A pair beyond the caliper costs more than all pairs within it, so as few as possible remain.
    costly = distance.max() * (min(distance.shape) + 1) + 1.0
    first, second = linear_sum_assignment(np.where(too_far, costly, distance))
    kept = ~too_far[first, second]
    return first[kept], second[kept]
