"""Decision thresholds, chosen on inner predictions and never on the outer test part.

A new rule is one function and one line in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fusion import metrics
from fusion.config import ThresholdConfig
from fusion.ledger import witness
from fusion.metrics import by_patient, sigmoid
from fusion.metrics.classification import Cuts
from fusion.models.base import InnerPredictions

NO_RANKING = 0.5
"""Threshold of a model whose inner predictions do not rank patients better than chance."""


def inner_threshold(inner: InnerPredictions, config: ThresholdConfig | None = None) -> float:
    """Threshold by the configured rule, Youden's index by default, over the inner patients.

    Of equally good thresholds that nearest to one half is taken, then the lower, so that the
    choice does not depend on row order.

    Args:
        inner: Calibrated predictions on training patients by fits that had not seen them.
        config: The rule.

    Returns:
        Patients whose probability (of their mean logit) reaches it are called positive;
        `NO_RANKING` where no cut means anything.
    """
    config = config or ThresholdConfig()
    witness("threshold", "selected on", inner.patient_ids)
    _, y, score = by_patient(inner.patient_ids, inner.y, inner.probability)
    if float(metrics.auroc(y, score)[0]) <= 0.5:
        return NO_RANKING
    possible = metrics.cuts(y, sigmoid(score))
    worth = RULES[config.rule](possible, config.value or 0.0, float(np.mean(y)))
    best = possible.threshold[worth >= worth.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def rule_text(config: ThresholdConfig) -> str:
    """The rule in words."""
    return _WORDS[config.rule].format(config.value)


def _youden(cuts: Cuts, value: float, prevalence: float) -> np.ndarray:
    """Youden 1950."""
    return cuts.sensitivity + cuts.specificity - 1


def _at_sensitivity(cuts: Cuts, value: float, prevalence: float) -> np.ndarray:
    return np.where(cuts.sensitivity >= value - 1e-12, cuts.specificity, -1.0)


def _at_specificity(cuts: Cuts, value: float, prevalence: float) -> np.ndarray:
    reached = cuts.specificity >= value - 1e-12
    return np.where(reached, cuts.sensitivity, cuts.specificity - 2.0)


def _cost(cuts: Cuts, value: float, prevalence: float) -> np.ndarray:
    missed = value * prevalence * (1 - cuts.sensitivity)
    return -(missed + (1 - prevalence) * (1 - cuts.specificity))


RULES: dict[str, Callable[[Cuts, float, float], np.ndarray]] = {
    "youden": _youden,
    "sensitivity": _at_sensitivity,
    "specificity": _at_specificity,
    "cost": _cost,
}
"""By name: how much each cut is worth, given the rule's value and the prevalence; shape (cuts,)."""

_WORDS = {
    "youden": "Youden's index",
    "sensitivity": "the best specificity at a sensitivity of {:g} or more",
    "specificity": "the best sensitivity at a specificity of {:g} or more",
    "cost": "the least cost, a missed event costing {:g} false alarms",
}
