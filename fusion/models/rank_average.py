"""Late fusion without learning: the mean of the ranks that single modalities give a patient."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.metrics import by_patient, logit
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.calibration import cross_fitted_platt, fit_platt
from fusion.models.grid import GridModel
from fusion.models.inner import folds_of_patients


@dataclasses.dataclass(frozen=True)
class RankScale:
    """Scores to ranks in [0, 1] among the inner out-of-fold scores of training patients.

    Attributes:
        scores: Sorted scores that a rank is taken among; shape (n,).
    """

    scores: np.ndarray

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Share of the training scores below, ties by half; shape (n,)."""
        below = np.searchsorted(self.scores, score, side="left")
        up_to = np.searchsorted(self.scores, score, side="right")
        return (below + up_to) / (2 * len(self.scores))


class RankAverage(BaseModel):
    """Mean rank over logistic regressions of single modalities.

    Whatever the modalities' scales, the mean rank weighs them equally; it is hard to beat (the
    plain rank average of image and table models won over both in ISIC-2024). The mean rank becomes
    a probability by Platt scaling on inner out-of-fold ranks.
    """

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        self._singles = [
            GridModel(dataclasses.replace(self.arm, modalities=(modality,)), self.settings).fit(
                rows, seed
            )
            for modality in self.arm.modalities
        ]
        # All singles share the inner folds (same table and seed), so their out-of-fold scores are
        # of the same patients in the same order.
        inner = self._singles[0].inner_
        n_folds = self.settings.tuning.inner_folds
        patients, y, folds = folds_of_patients(rows, n_folds, seed)
        held_out = [np.arange(len(y))[part] for _, part in folds]
        ones = np.ones(len(y))
        ranks = np.mean([_cross_fitted_ranks(m.inner_, held_out) for m in self._singles], axis=0)
        self._scales = [RankScale(np.sort(logit(m.inner_.probability))) for m in self._singles]
        witness("ranks", "fitted on", patients)
        witness("calibration", "fitted on", patients)
        self._scaling = fit_platt(ranks, y, ones)
        probability = cross_fitted_platt(ranks, y, ones, held_out)
        choices = {
            "slope": self._scaling.slope,
            "intercept": self._scaling.intercept,
            "singles": {
                modality.name: model.choices_
                for modality, model in zip(self.arm.modalities, self._singles, strict=True)
            },
        }
        return FitRecord(InnerPredictions(inner.patient_ids, y, probability), choices)

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        # Ranks are of patients: each single's logits are averaged over a patient's rows before
        # they are ranked, so all rows of a patient get the same probability.
        ranks = [
            scale(_patient_mean(rows.patient_ids, single.predict_proba(rows)))
            for single, scale in zip(self._singles, self._scales, strict=True)
        ]
        return self._scaling(np.mean(ranks, axis=0))


def _cross_fitted_ranks(inner: InnerPredictions, held_out: list[np.ndarray]) -> np.ndarray:
    """Rank of each patient among the patients of the other inner folds."""
    score = logit(inner.probability)
    ranks = np.empty(len(score))
    for rows in held_out:
        ranks[rows] = RankScale(np.sort(np.delete(score, rows)))(score[rows])
    return ranks


def _patient_mean(patient_ids: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Mean logit of each row's patient; shape (n,)."""
    _, inverse = np.unique(patient_ids.astype(str), return_inverse=True)
    _, _, mean = by_patient(patient_ids, probability, probability)
    return mean[inverse]
