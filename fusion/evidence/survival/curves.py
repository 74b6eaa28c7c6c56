"""Curves of an arm: AUC over time, and calibration and decisions at horizons."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.evidence.scoring import CurveSample
from fusion.evidence.survival.measures import Scene
from fusion.evidence.survival.predictions import AlignedTimes, ArmTimes
from fusion.evidence.survival.scoring import Stage, on_repeats
from fusion.evidence.survival.support import Support
from fusion.metrics import in_chunks
from fusion.metrics.curves import Curve
from fusion.metrics.survival import (
    RiskBins,
    Times,
    auc_over_time,
    decision_curve_at,
    observed_risk,
    risk_bins,
)

POINTS = 24
"""Times of AUC over time."""

THRESHOLDS = 40
"""Threshold probabilities of a decision curve."""

FEWEST_CASES = 20
"""Events by a time before which AUC over time is not drawn."""

MOST_BINS, FEWEST_BINS, PATIENTS_A_BIN = 10, 3, 40


def auc_grid(aligned: AlignedTimes, support: Support) -> np.ndarray:
    """Days at which AUC over time is drawn: from the first with enough events on."""
    events = np.sort(aligned.times.time[aligned.times.event == 1])
    if len(events) < FEWEST_CASES or not support.horizons:
        return np.zeros(0)
    first = float(events[FEWEST_CASES - 1])
    return np.linspace(first, support.last, POINTS) if first < support.last else np.zeros(0)


def auc_curves(
    aligned: AlignedTimes, support: Support, baseline: str, weights: np.ndarray, stretch: float
) -> dict[str, Curve]:
    """AUC over time of every arm, mean over repeats; that of the baseline with its band.

    Patients of one fold are ranked by the risk at the first horizon that is not before the time,
    or at the last one, so that the curve passes through the AUC at the horizons.

    Args:
        aligned: Predictions of all arms.
        support: What follow-up supports.
        baseline: Name of the arm that gets a pointwise band.
        weights: Draws of patients. Shape (draws, patients).
        stretch: How much wider the band is than with models held fixed.

    Returns:
        By name of the arm; empty where there is nothing to draw.
    """
    grid = auc_grid(aligned, support)
    if not len(grid):
        return {}
    whole = Stage(aligned.times, None)
    found = {
        arm.arm: Curve(grid, _auc_on(arm, support, grid, whole).mean(axis=0)[0], None, None)
        for arm in aligned.arms
        if arm.kind != "design"
    }
    drawn = [
        _auc_on(aligned[baseline], support, grid, Stage(aligned.times, chunk)).mean(axis=0)
        for chunk in in_chunks(weights)
    ]
    sample = CurveSample(found[baseline].y, np.concatenate(drawn), stretch)
    return found | {baseline: sample.curve(grid)}


def _auc_on(arm: ArmTimes, support: Support, grid: np.ndarray, stage: Stage) -> np.ndarray:
    """Shape (repeats, draws, grid)."""
    places, days = list(support.horizons), np.array(list(support.horizons.values()))

    def ranked(scene: Scene) -> np.ndarray:
        columns = [
            scene.part.risk[:, places[min(int(np.searchsorted(days, t)), len(places) - 1)]]
            for t in grid
        ]
        score = np.stack(columns, axis=1)
        fold = scene.part.fold
        return auc_over_time(scene.times, score, grid, scene.censoring, scene.weights, strata=fold)

    return on_repeats(arm, ranked, stage)


def calibration_bins(times: Times, arm: ArmTimes, place: int, horizon: float) -> RiskBins:
    """Observed over predicted risk; a patient's predictions of all repeats count as one patient.

    Args:
        times: Follow-up.
        arm: The arm.
        place: Place of the horizon among all.
        horizon: Its days.
    """
    repeats = len(arm.repeats)
    many = int(np.clip(len(times) // PATIENTS_A_BIN, FEWEST_BINS, MOST_BINS))
    rows = np.tile(np.arange(len(times)), repeats)
    risk = np.concatenate([part.risk[:, place] for part in arm.repeats])
    found = risk_bins(times.take(rows), risk, horizon, many)
    if repeats == 1:
        return found
    low, high = (_widened(found.observed, end, repeats) for end in (found.low, found.high))
    return dataclasses.replace(found, low=low, high=high, count=found.count / repeats)


def _widened(observed: np.ndarray, end: np.ndarray, repeats: int) -> np.ndarray:
    """An end of an interval on the scale of log(-log p) for so many times fewer patients."""
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.log(np.log(end) / np.log(observed))
        return np.asarray(np.exp(np.log(observed) * np.exp(np.sqrt(repeats) * half)))


def decision_curve(times: Times, arm: ArmTimes, place: int, horizon: float) -> Curve:
    """Net benefit at a horizon over threshold probabilities, mean over repeats; without a band."""
    grid = threshold_grid(times, horizon)
    found = [
        decision_curve_at(times, part.risk[:, place], horizon, grid)[0] for part in arm.repeats
    ]
    return Curve(grid, np.mean(found, axis=0), None, None)


def treat_all(times: Times, horizon: float) -> Curve:
    """Net benefit of treating everyone."""
    grid = threshold_grid(times, horizon)
    everyone = decision_curve_at(times, np.ones(len(times)), horizon, grid)[0]
    return Curve(grid, everyone, None, None)


def threshold_grid(times: Times, horizon: float) -> np.ndarray:
    """Threshold probabilities up to three times the observed risk, at most 0.95."""
    top = min(3 * float(observed_risk(times, horizon)[0]), 0.95)
    return np.linspace(0.01, max(top, 0.05), THRESHOLDS)
