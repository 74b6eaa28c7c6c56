"""The floor that knows how long people stay free of the event, and nothing about anyone."""

from __future__ import annotations

import numpy as np

from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.metrics.survival import EVENT, Times, incidence_at, survival_at
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.patients import Patients


class KaplanMeier(BaseSurvivalModel):
    """The curve of all training patients for everyone: Kaplan–Meier, or Aalen–Johansen."""

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        witness("kaplan_meier", "fitted on", patients.ids)
        self._times = patients.times
        events = int(patients.events.sum())
        choices = {"patients": len(patients), "events": events}
        return SurvivalFit(np.zeros(len(patients)), choices)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return np.zeros(len(rows))

    def _risk(
        self, rows: FeatureTable, lp: np.ndarray, horizons: np.ndarray, entry: np.ndarray
    ) -> np.ndarray:
        return curve_risk(self._times, horizons, entry)


def curve_risk(times: Times, horizons: np.ndarray, entry: np.ndarray) -> np.ndarray:
    """Probability of the event by each horizon for who was free of any event at entry.

    Args:
        times: Follow-up that the curve is made from.
        horizons: Shape (horizons,).
        entry: Shape (n,).

    Returns:
        (F(h) − F(e)) / S(e) with Aalen and Johansen's F, shape (n, horizons); NaN beyond the last
        exit.
    """
    began, place = np.unique(entry, return_inverse=True)
    incidence = incidence_at(times, np.concatenate([horizons, began]), cause=EVENT)[0]
    by_horizon, by_entry = incidence[: len(horizons)], incidence[len(horizons) :]
    free = survival_at(times, began)[0]
    gained = np.maximum(by_horizon - by_entry[:, None], 0.0)
    risk = np.divide(gained, free[:, None], out=np.ones_like(gained), where=free[:, None] > 0)
    beyond = horizons > times.time.max()
    return np.where(beyond, np.nan, np.minimum(risk, 1.0))[place]
