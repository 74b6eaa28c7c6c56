"""Explained variation of probabilities for a binary outcome."""

from __future__ import annotations

import numpy as np

from fusion.metrics._weighted import validated_probabilities

FLOOR = 1e-15
"""Probabilities are kept this far from 0 and 1."""


def nagelkerke_r2(y: np.ndarray, probability: np.ndarray) -> float:
    """Nagelkerke's R²: Cox and Snell's 1 - (L0 / L)^(2/n), divided by its largest value.

    Of predictions of other patients it is below 0 where these are worse than the prevalence.

    Args:
        y: Outcomes, 0 or 1. Shape (n,).
        probability: Predictions. Shape (n,).

    Returns:
        NaN with one class only.

    Source: Nagelkerke 1991, Biometrika 78:691.
    """
    y, probability, _ = validated_probabilities(y, probability, None)
    share = float(np.mean(y))
    if share in (0.0, 1.0):
        return float("nan")
    p = np.clip(probability, FLOOR, 1 - FLOOR)
    model = float(np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))
    null = share * np.log(share) + (1 - share) * np.log(1 - share)
    return float((1 - np.exp(2 * (null - model))) / (1 - np.exp(2 * null)))
