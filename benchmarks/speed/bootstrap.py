"""Bootstrap of AUROC, AUPRC and Brier score, beside a loop over scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from benchmarks.speed.figures import Figure, details, timed
from fusion.metrics import brier, draw_weights, in_chunks
from fusion.metrics.ranking import Ranking

DRAWS, ARMS, PATIENTS = 2000, 20, 10_000
SECONDS, RATIO = 5.0, 90.0
BASELINE_DRAWS = 5

Scores = list[np.ndarray]


def own(y: np.ndarray, arms: Scores, weights: np.ndarray) -> np.ndarray:
    """All three of every arm and draw, ranked once as evidence does; (arms, 3, draws)."""
    found = np.empty((len(arms), 3, len(weights)))
    done = 0
    for chunk in in_chunks(weights):
        part = slice(done, done + len(chunk))
        for k, score in enumerate(arms):
            ranking = Ranking.of(y, score, chunk)
            found[k, :, part] = ranking.auroc(), ranking.auprc(), brier(y, score, chunk)
        done += len(chunk)
    return found


def loop(y: np.ndarray, arms: Scores, weights: np.ndarray) -> np.ndarray:
    """The same, a call a number."""
    metrics = roc_auc_score, average_precision_score, brier_score_loss
    return np.array([[[m(y, s, sample_weight=w) for w in weights] for m in metrics] for s in arms])


def material(patients: int, arms: int) -> tuple[np.ndarray, Scores]:
    """Outcomes, and probabilities of each arm."""
    rng = np.random.default_rng(0)
    y = (rng.random(patients) < 0.2).astype(float)
    return y, [1 / (1 + np.exp(1 - y - rng.normal(size=patients))) for _ in range(arms)]


def measure(quick: bool) -> list[Figure]:
    """Row 6."""
    draws, arms, patients = (100, 4, 2000) if quick else (DRAWS, ARMS, PATIENTS)
    y, scores = material(patients, arms)
    weights = draw_weights([str(k) for k in range(patients)], draws, 0)
    some = weights[:BASELINE_DRAWS]
    base, few = timed(lambda: loop(y, scores, some)), timed(lambda: own(y, scores, weights))
    ratio = base.cpu / BASELINE_DRAWS * draws / few.cpu
    what = f"{draws:,} draws x {arms} arms x {patients:,} patients"
    full = not quick
    found = details(base, few)
    return [
        Figure(6, what, f"{SECONDS} s", few.wall, "s", few.wall <= SECONDS if full else None),
        Figure(6, what, f"{RATIO:.0f}x", ratio, "x", ratio >= RATIO if full else None,
               f"a loop over scikit-learn ({BASELINE_DRAWS} draws, carried)", found),
    ]  # fmt: skip
