"""Hazards in intervals of time: their scale, and the risks that they add up to."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from fusion.features import FeatureTable
from fusion.metrics.survival import Times, interval_ends, risk_from_hazards
from fusion.models.survival.patients import patient_rows
from fusion.models.survival.risk_scale import RiskScale


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Intervals that hold about equally many events of the training part.

    Attributes:
        ends: Ascending; the last one reaches to the last exit. Shape (m,).
    """

    ends: np.ndarray

    @classmethod
    def of(cls, times: Times, most: int) -> Self:
        """Cuts time by quantiles of event times."""
        return cls(interval_ends(times, most))

    @classmethod
    def of_ends(cls, ends: np.ndarray) -> Self:
        """Takes the ends of intervals that were cut elsewhere.

        Raises:
            ValueError: They are none.
        """
        if ends.ndim != 1 or not len(ends) or ends[0] < 0 or (np.diff(ends) <= 0).any():
            raise ValueError("the ends of the intervals do not ascend")
        return cls(ends)

    @property
    def reference(self) -> int:
        """Intervals up to which hazards are added up for a score.

        The last interval reaches to the last exit, where few are left to learn from.
        """
        return max(len(self.ends) - 1, 1)

    def score(self, hazards: np.ndarray) -> np.ndarray:
        """Log of the cumulative hazard up to the reference.

        Args:
            hazards: Cumulative hazard that each interval adds, (p, m).

        Returns:
            Shape (p,).
        """
        return np.asarray(np.log(np.maximum(hazards[:, : self.reference].sum(axis=1), 1e-12)))

    def risk(
        self,
        hazards: np.ndarray,
        scale: RiskScale,
        log_hazard_ratio: np.ndarray,
        horizons: np.ndarray,
        entry: np.ndarray,
    ) -> np.ndarray:
        """Risks with the level that inner scores have found, and the course of these hazards.

        The cumulative hazard up to the reference is that of the scale, baseline · e^lp; how it is
        spread over time is the patient's own. Competing hazards are those of the scale.

        Args:
            hazards: Cumulative hazard that each interval adds, (p, m).
            scale: Fitted on inner scores.
            log_hazard_ratio: Shape (p,).
            horizons: Shape (horizons,).
            entry: Shape (p,).

        Returns:
            Shape (p, horizons); NaN beyond the last interval.
        """
        reference = self.ends[self.reference - 1]
        level = np.nan_to_num(_known(scale, 0, reference)) * np.exp(log_hazard_ratio)
        own = np.exp(self.score(hazards))
        first = hazards * (level / own)[:, None]
        parts = [first]
        if len(scale.baselines) > 1:
            steps = np.diff(_known(scale, 1, self.ends), prepend=0.0)
            parts.append(np.exp(scale.competing_slope * log_hazard_ratio)[:, None] * steps)
        total = np.sum(parts, axis=0)
        ended = -np.expm1(-total)
        by_cause = np.stack(
            [ended * np.divide(p, total, out=np.zeros_like(p), where=total > 0) for p in parts],
            axis=2,
        )
        return risk_from_hazards(by_cause, self.ends, horizons, entry)


def patient_hazards(logits: np.ndarray, rows: FeatureTable) -> np.ndarray:
    """Cumulative hazard that each interval adds, of the mean log odds of a patient's rows.

    Args:
        logits: Shape (n, m).
        rows: The rows; n of them.

    Returns:
        Shape (patients, m).
    """
    _, _, place, counts = patient_rows(rows)
    total = np.zeros((len(counts), logits.shape[1]))
    np.add.at(total, place, logits)
    return softplus(total / counts[:, None])


def softplus(logits: np.ndarray) -> np.ndarray:
    """Cumulative hazard of an interval, −log(1 − h), of the log odds of its event."""
    return np.logaddexp(0.0, logits)


def _known(scale: RiskScale, cause: int, at: np.ndarray | float) -> np.ndarray:
    """Cumulative baseline hazard, carried on where nobody was followed any more."""
    baseline = scale.baselines[cause]
    return baseline.at(np.minimum(np.asarray(at, dtype=float), baseline.last))
