"""Late fusion without learning: the mean rank that single modalities give a patient."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.models.rank_average import RankScale
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.cox import CoxRidge
from fusion.models.survival.patients import Patients, folds_of, patient_rows


class SurvivalRankAverage(BaseSurvivalModel):
    """Mean rank over Cox regressions of single modalities; see `fusion.models.rank_average`.

    Attributes:
        singles_: Cox regression of each modality; nothing beyond its score is fitted.
        scales_: Ranks of each single's scores.
    """

    singles_: list[CoxRidge]
    scales_: list[RankScale]

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        self.singles_ = [
            CoxRidge(dataclasses.replace(self.arm, modalities=(modality,)), self.settings)
            for modality in self.arm.modalities
        ]
        # All singles share the inner folds (same patients and seed).
        found = [single._fit(rows, patients, seed) for single in self.singles_]
        held_out = [part for _, part in folds_of(patients, self.settings.tuning.inner_folds, seed)]
        ranks = [_cross_fitted_ranks(one.score, held_out) for one in found]
        self.scales_ = [RankScale(np.sort(one.score)) for one in found]
        witness("ranks", "fitted on", patients.ids)
        names = [modality.name for modality in self.arm.modalities]
        singles = {name: one.choices for name, one in zip(names, found, strict=True)}
        return SurvivalFit(np.mean(ranks, axis=0), {"singles": singles})

    def _score(self, rows: FeatureTable) -> np.ndarray:
        # Ranks are of patients, so all rows of a patient get the same.
        _, _, place, counts = patient_rows(rows)
        ranks = [
            scale(np.bincount(place, weights=single._score(rows)) / counts)
            for single, scale in zip(self.singles_, self.scales_, strict=True)
        ]
        return np.mean(ranks, axis=0)[place]


def _cross_fitted_ranks(score: np.ndarray, held_out: list[np.ndarray]) -> np.ndarray:
    """Rank of each patient among the patients of the other inner folds."""
    ranks = np.empty(len(score))
    for places in held_out:
        ranks[places] = RankScale(np.sort(np.delete(score, places)))(score[places])
    return ranks
