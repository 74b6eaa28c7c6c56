"""What deciding at a threshold brings, at thresholds that tell nothing of any one patient.

A table of counts by threshold is a table of outcomes by bands of predicted risk: two thresholds
next to each other tell how many patients between them had the outcome. So thresholds are kept only
where every cell, and every step to the next threshold, holds nobody or at least `LEAST` patients of
each outcome; what is dropped cannot be had by subtraction. `docs/report.md` says what else a report
discloses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fusion.evidence.aligned import ArmPredictions
from fusion.evidence.scoring import Sample
from fusion.metrics import Estimate, in_chunks, rates_at
from fusion.metrics.cross_validated import independent_units

LEAST = 10
"""Patients below whom a count is not shown, except nobody."""

THRESHOLDS = np.arange(1, 100) / 100


@dataclasses.dataclass(frozen=True)
class Operating:
    """What happens where risks from `threshold` on are treated; counts are means over repeats.

    Attributes:
        threshold: Predicted probability from which on a patient is treated.
        sensitivity: Share of the patients with the outcome who are treated.
        specificity: Share of those without it who are not.
        net_benefit: Vickers & Elkin 2006.
        true_positive: Patients with the outcome who are treated.
        false_positive: Patients without it who are treated.
        false_negative: Patients with it who are not.
        true_negative: Patients without it who are not.
    """

    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    net_benefit: Estimate
    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


def operating_points(
    y: np.ndarray, arm: ArmPredictions, weights: np.ndarray, clusters: np.ndarray
) -> tuple[Operating, ...]:
    """What an arm does at every threshold that may be shown, the lowest first.

    Args:
        y: Outcomes. Shape (patients,).
        arm: Its out-of-fold predictions.
        weights: Draws of patients, shared with all other intervals. Shape (draws, patients).
        clusters: Cluster of each patient. Shape (patients,).
    """
    treated = np.array([r.probability[:, None] >= THRESHOLDS for r in arm.repeats], dtype=float)
    hits = treated[:, y == 1].sum(axis=1).mean(axis=0)
    alarms = treated[:, y == 0].sum(axis=1).mean(axis=0)
    events, others = float((y == 1).sum()), float((y == 0).sum())
    kept = shown_thresholds(hits, alarms, events, others)
    if not kept:
        return ()
    treated, grid = treated[:, :, kept], THRESHOLDS[kept]
    units = independent_units(y, clusters)
    trials = (*(len(np.unique(clusters[y == k])) for k in (1.0, 0.0)), None)
    values = rates_at(y, treated, grid, np.ones((1, len(y))))
    drawn = [rates_at(y, treated, grid, chunk) for chunk in in_chunks(weights)]
    draws = [np.concatenate([part[k] for part in drawn], axis=1) for k in range(3)]
    found = []
    for place, k in enumerate(kept):
        sensitivity, specificity, net = (
            Sample(
                values[rate][:, 0, place],
                draws[rate][:, :, place],
                arm.dependent_folds,
                units,
                count,
                count is not None,
            ).estimate
            for rate, count in enumerate(trials)
        )
        counts = map(float, (hits[k], alarms[k], events - hits[k], others - alarms[k]))
        found.append(Operating(float(grid[place]), sensitivity, specificity, net, *counts))
    return tuple(found)


def shown_thresholds(
    hits: np.ndarray, alarms: np.ndarray, events: float, others: float
) -> list[int]:
    """Places of the thresholds that may be shown; some but not all patients are treated there.

    Args:
        hits: Treated patients with the outcome at each threshold, falling. Shape (thresholds,).
        alarms: The same of those without it. Shape (thresholds,).
        events: Patients with the outcome.
        others: Patients without it.
    """
    kept: list[int] = []
    last = events, others  # below all thresholds everyone is treated
    for k, counts in enumerate(zip(hits, alarms, strict=True)):
        steps = [before - now for before, now in zip(last, counts, strict=True)]
        if sum(steps) > 0 and sum(counts) > 0 and _coarse((*steps, *counts)):
            kept.append(k)
            last = float(counts[0]), float(counts[1])
    return kept


def _coarse(counts: Sequence[float]) -> bool:
    return all(count == 0 or count >= LEAST for count in counts)
