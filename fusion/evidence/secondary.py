"""Numbers beside the bootstrap, over all repeats: DeLong's interval, R², calibration by bins."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError
from fusion.evidence.aligned import ArmPredictions
from fusion.metrics import Estimate
from fusion.metrics.curves import CalibrationBins, calibration_curve
from fusion.metrics.delong import DeLong, delong
from fusion.metrics.explained import nagelkerke_r2


def delong_estimate(y: np.ndarray, arm: ArmPredictions) -> Estimate | None:
    """Mean AUROC of the repeats with DeLong's interval; None with under two of a class.

    The repeats are correlated scores of the same patients, so that the variance of their mean is
    the mean of their covariance matrix.
    """
    try:
        found = delong(y, np.stack([repeat.score for repeat in arm.repeats]))
    except DataError:
        return None
    mean = DeLong(found.auroc.mean(keepdims=True), found.covariance.mean(keepdims=True))
    return Estimate(float(mean.auroc[0]), *mean.interval(), method="delong")


def explained(y: np.ndarray, arm: ArmPredictions) -> float:
    """Nagelkerke's R² of the out-of-fold probabilities, mean over repeats."""
    return float(np.mean([nagelkerke_r2(y, repeat.probability) for repeat in arm.repeats]))


def calibration_bins(y: np.ndarray, arm: ArmPredictions) -> CalibrationBins:
    """Observed over predicted risk; a patient's predictions of all repeats count as one patient."""
    return calibration_curve(y, np.stack([repeat.probability for repeat in arm.repeats]))
