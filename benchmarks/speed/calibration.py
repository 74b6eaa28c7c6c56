"""Calibration slope and intercept on all draws, beside one regression a draw."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.speed.bootstrap import material
from benchmarks.speed.figures import Figure, details, timed
from fusion.metrics import calibration_intercept, calibration_slope, draw_weights, in_chunks, logit

BASELINE_DRAWS = 5


def own(y: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Slope and intercept of every draw; (2, draws)."""
    parts = [
        [metric(y, probability, chunk) for metric in (calibration_slope, calibration_intercept)]
        for chunk in in_chunks(weights)
    ]
    return np.hstack([np.stack(part) for part in parts])


def loop(y: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Slope of every draw by scikit-learn; (draws,)."""
    x = logit(probability)[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=200)
    return np.array([model.fit(x, y, sample_weight=w).coef_[0, 0] for w in weights])


def measure(quick: bool) -> list[Figure]:
    """Row 7: a fifth of the time before is what the goal was."""
    draws, patients = (200, 1000) if quick else (2000, 10_000)
    y, scores = material(patients, 1)
    weights = draw_weights([str(k) for k in range(patients)], draws, 0)
    base = timed(lambda: loop(y, scores[0], weights[:BASELINE_DRAWS].astype(float)))
    took = timed(lambda: own(y, scores[0], weights))
    ratio = base.cpu / BASELINE_DRAWS * draws / took.cpu
    what = f"slope and intercept, {draws:,} draws x {patients:,} patients"
    baseline = f"a regression of scikit-learn a draw, slope only ({BASELINE_DRAWS} draws, carried)"
    found = details(base, took)
    return [Figure(7, what, "1/5 of before", ratio, "x", None, baseline, found)]
