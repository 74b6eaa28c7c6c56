"""Gradient-boosted trees on the Cox partial likelihood, tuned by Optuna on inner folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import lightgbm
import numpy as np

from fusion.arms import Arm
from fusion.features import FeatureTable, TabularEncoder
from fusion.ledger import witness
from fusion.metrics.survival import PartialLikelihood, harrell_c
from fusion.models.boosting import (
    MAX_ROUNDS,
    seeded,
    stopping,
    tree_contributions,
    tune_boosters,
)
from fusion.models.explanation import Contributions
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.encoding import Encoded, InnerFold, TrainingData, encode_training
from fusion.models.survival.patients import Patients
from fusion.models.tuning import FoldScore, Parameters

LEAST_CURVATURE = 1e-6
"""Of a row that was in no risk set, whose loss does not depend on its score."""

Raw = Callable[[np.ndarray], np.ndarray]
"""Encoded rows (n, q) to raw scores (n,)."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What LightGBM is given of some encoded rows.

    Attributes:
        x: Its rows; float64 (m, q).
        label: Shape (m,).
        weights: Shape (m,); None where all are equal.
        settings: Objective and metric.
        loss: Mean loss of raw scores (m,).
        start: What boosting starts from, beside the raw scores; shape (m,). None for zeros.
        metric: The loss as LightGBM asks for it, where it has none of its own.
    """

    x: np.ndarray
    label: np.ndarray
    weights: np.ndarray | None
    settings: dict[str, Any]
    loss: Callable[[np.ndarray], float]
    metric: Callable[[np.ndarray, Any], tuple[str, float, bool]] | None = None
    start: np.ndarray | None = None

    def dataset(self, seed: int, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        """Bins the rows."""
        return lightgbm.Dataset(
            self.x,
            label=self.label,
            weight=self.weights,
            init_score=self.start,
            reference=reference,
            params=seeded({}, seed),
        )

    def train(
        self,
        data: lightgbm.Dataset,
        parameters: Parameters,
        seed: int,
        rounds: int,
        **validation: Any,
    ) -> lightgbm.Booster:
        """Boosts on the rows, once binned."""
        settings = self.settings | seeded(parameters, seed)
        return lightgbm.train(settings, data, rounds, **validation)


class CoxObjective:
    """Minus the log partial likelihood of patients whose score is the mean over their rows.

    Efron's ties and delayed entry, as `PartialLikelihood`. LightGBM asks for derivatives by each
    row's score: those of the patient's score divided by its rows; curvatures likewise, which bounds
    what rows of one patient that fall into one leaf can add up to.
    """

    def __init__(self, patients: Patients) -> None:
        """Sorts the patients.

        Raises:
            DataError: Nobody had the event.
        """
        self._patients = patients
        self._likelihood = PartialLikelihood(patients.times)
        self._events = float(patients.events.sum())

    def derivatives(self, scores: np.ndarray, data: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and curvature of the loss by the score of each row; shape (n,) each."""
        found = self._likelihood.at(self._patients.mean(scores))
        place, rows = self._patients.place, self._patients.counts
        curvature = np.maximum(found.curvature, LEAST_CURVATURE)
        return (-found.gradient / rows)[place], (curvature / rows)[place]

    def loss(self, scores: np.ndarray) -> float:
        """Minus the log partial likelihood, an event; scores of rows, (n,)."""
        return -self._likelihood.at(self._patients.mean(scores)).value / self._events

    def metric(self, scores: np.ndarray, data: Any = None) -> tuple[str, float, bool]:
        """The loss as LightGBM wants it."""
        return "partial_likelihood", self.loss(scores), False


class CoxLightGbm(BaseSurvivalModel):
    """LightGBM (Ke et al. 2017) on the Cox partial likelihood.

    Trials are scored by Harrell's C over inner folds; boosting stops by the partial likelihood of
    the validation patients. The final fit uses all training rows and the median number of rounds
    of the best trial's inner fits; inner scores are those fits' at that number.

    Attributes:
        encoder_: The encoder of the final fit.
        booster_: The final fit.
    """

    encoder_: TabularEncoder
    booster_: lightgbm.Booster

    def __init__(self, arm: Arm, settings: Settings, location: StudyLocation | None = None) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Tuning, inner folds and preprocessing.
            location: Where the study is kept; by default in memory.
        """
        super().__init__(arm, settings)
        self.location = location

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        data = encode_training(rows, patients, self.arm.modalities, self.settings, seed)
        return self.fit_encoded(data, seed)

    def fit_encoded(self, data: TrainingData, seed: int) -> SurvivalFit:
        """Tunes and fits on rows that are encoded already.

        Args:
            data: The outer training part and its inner folds.
            seed: Decides trials and bagging.

        Raises:
            ConfigError: The storage of the study cannot be used.
        """
        self._prepare(data.whole.patients)
        for fold in data.folds:
            witness("early stopping", "selected on", fold.validation.patients.ids)
            witness("tuning", "selected on", fold.validation.patients.ids)
        folds = [_BinnedFold.of(fold, self, seed) for fold in data.folds]
        tuned = tune_boosters(folds, self.settings.tuning, seed, self.location)
        score = data.out_of_fold(
            [
                self.patient_scores(raw_scores(booster, tuned.rounds), fold.validation)
                for booster, fold in zip(tuned.boosters, data.folds, strict=True)
            ]
        )
        self.encoder_ = data.encoder
        witness("lightgbm", "fitted on", data.whole.patients.ids)
        problem = self.problem(data.whole)
        self.booster_ = problem.train(
            problem.dataset(seed), tuned.result.parameters, seed, tuned.rounds
        )
        choices = tuned.choices(data.encoder, "concordance", "loss")
        return SurvivalFit(score, choices)

    def _prepare(self, patients: Patients) -> None:
        """What all problems of a fit share."""

    def problem(self, rows: Encoded) -> Problem:
        """What LightGBM learns from, or is judged by."""
        objective = CoxObjective(rows.patients)
        # LightGBM wants labels; the objective has the times.
        label = rows.patients.events[rows.patients.place]
        settings = {"objective": objective.derivatives, "metric": "None"}
        return Problem(rows.x, label, None, settings, objective.loss, objective.metric)

    def patient_scores(self, raw: Raw, rows: Encoded) -> np.ndarray:
        """Score of each patient; shape (p,)."""
        return rows.patients.mean(raw(rows.x))

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return self._raw(self.encoder_.transform(rows))

    @property
    def _raw(self) -> Raw:
        return raw_scores(self.booster_, self.booster_.current_iteration())

    def contributions(self, table: FeatureTable) -> Contributions:
        """Exact Shapley values of the trees, in log hazard ratios.

        Args:
            table: Rows to explain; n of them.
        """
        return tree_contributions(self.booster_, self.encoder_, table, self.scale_.slope)


@dataclasses.dataclass(frozen=True)
class _BinnedFold:
    """One inner fold, binned once for all trials."""

    fold: InnerFold
    model: CoxLightGbm
    training: Problem
    validation: Problem
    binned: tuple[lightgbm.Dataset, lightgbm.Dataset]

    @classmethod
    def of(cls, fold: InnerFold, model: CoxLightGbm, seed: int) -> Self:
        training, validation = model.problem(fold.training), model.problem(fold.validation)
        binned = training.dataset(seed).construct()
        return cls(fold, model, training, validation, (binned, validation.dataset(seed, binned)))

    def boost(self, parameters: Parameters, seed: int) -> lightgbm.Booster:
        return self.training.train(
            self.binned[0],
            parameters,
            seed,
            MAX_ROUNDS,
            valid_sets=[self.binned[1].construct()],
            feval=self.validation.metric,
            callbacks=[stopping()],
        )

    def score(self, parameters: Parameters, seed: int) -> FoldScore:
        raw = raw_scores(self.boost(parameters, seed))
        rows = self.fold.validation
        times = rows.patients.times.cause_specific()
        concordance = harrell_c(times, self.model.patient_scores(raw, rows))[0]
        loss = self.validation.loss(raw(self.validation.x))
        return FoldScore(float(np.nan_to_num(concordance, nan=0.5)), loss)


def raw_scores(booster: lightgbm.Booster, rounds: int | None = None) -> Raw:
    """What a booster gives rows after so many rounds; by default the best number of them."""
    count = booster.best_iteration if rounds is None else rounds
    return lambda x: np.asarray(
        booster.predict(x, num_iteration=count, num_threads=1, raw_score=True)
    )
