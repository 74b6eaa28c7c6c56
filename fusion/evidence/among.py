"""A metric of one arm among a part of the patients, with the interval that all arms have."""

from __future__ import annotations

import numpy as np

from fusion import metrics
from fusion.evidence.aligned import ArmPredictions
from fusion.evidence.scoring import Sample
from fusion.metrics import in_chunks
from fusion.metrics.cross_validated import independent_units


def sample_among(
    y: np.ndarray,
    arm: ArmPredictions,
    name: str,
    member: np.ndarray,
    weights: np.ndarray,
    clusters: np.ndarray,
) -> Sample:
    """Scores an arm on some of the patients.

    Args:
        y: Outcomes of all patients. Shape (patients,).
        arm: Their predictions.
        name: Metric of `metrics.METRICS`.
        member: Mask of those who are looked at, with both outcomes among them. Shape (patients,).
        weights: Draws of all patients. Shape (draws, patients).
        clusters: Cluster of each patient. Shape (patients,).
    """
    metric, own = metrics.METRICS[name], y[member]
    inputs = [getattr(repeat, metric.needs)[member] for repeat in arm.repeats]
    drawn = [
        np.array([metric.function(own, x, chunk[:, member]) for x in inputs])
        for chunk in in_chunks(weights)
    ]
    units = independent_units(own, clusters[member])
    return Sample(
        np.array([metric.function(own, x)[0] for x in inputs]),
        np.concatenate(drawn, axis=1),
        arm.dependent_folds,
        units,
        units if name == "auroc" else None,
        metric.bounded,
    )
