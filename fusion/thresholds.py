"""Decision thresholds, chosen on inner predictions and never on the outer test part."""

from __future__ import annotations

from fusion import metrics
from fusion.ledger import witness
from fusion.model import InnerPredictions, by_patient, sigmoid

NO_RANKING = 0.5
"""Threshold of a model whose inner predictions do not rank patients better than chance."""


def inner_threshold(inner: InnerPredictions) -> float:
    """Threshold of Youden's index (Youden 1950) over the inner patients.

    Args:
        inner: Predictions on training patients by fits that had not seen them.

    Returns:
        Patients whose probability (of their mean logit) reaches it are called positive;
        `NO_RANKING` where no cut means anything.
    """
    witness("threshold", "selected on", inner.patient_ids)
    _, y, score = by_patient(inner.patient_ids, inner.y, inner.probability)
    if float(metrics.auroc(y, score)[0]) <= 0.5:
        return NO_RANKING
    return metrics.youden_threshold(y, sigmoid(score))
