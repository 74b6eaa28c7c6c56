"""The protocol of models of times to an event, and the base that fits one safely."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Protocol, Self

import numpy as np

from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.metrics.survival import Times, require_event
from fusion.models.base import canonical_order
from fusion.models.settings import Settings
from fusion.models.survival.patients import Patients, patient_rows, patients_of
from fusion.models.survival.risk_scale import CONSTANT, RiskScale, fit_risk_scale


@dataclasses.dataclass(frozen=True)
class InnerScores:
    """Scores of training patients by fits that had not seen them; p of them.

    They decide the scale of risks and the cut points of risk groups; nothing of the outer test
    part is in them.

    Attributes:
        patient_ids: Shape (p,).
        times: Follow-up.
        score: Higher means an earlier event. Shape (p,).
    """

    patient_ids: np.ndarray
    times: Times
    score: np.ndarray


@dataclasses.dataclass(frozen=True)
class SurvivalPrediction:
    """What a model says of n rows; all rows of a patient get the same.

    Attributes:
        score: Log hazard ratio against the mean training patient. Shape (n,).
        risk: Probability of the event by each horizon for who was free of it at entry; NaN beyond
            what training patients were followed for. Shape (n, horizons).
    """

    score: np.ndarray
    risk: np.ndarray


class SurvivalModel(Protocol):
    """A model of one arm on times to an event; see `fusion.models.base.Model`.

    Attributes:
        inner_: After `fit`: out-of-sample log hazard ratios inside the training table.
        choices_: After `fit`: what was chosen inside, JSON types.
        history_: After `fit`: per-epoch records of training curves, or empty.
    """

    inner_: InnerScores
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Learns from all rows of `table`; same table and seed give the same model on CPU."""
        ...

    def predict(self, table: FeatureTable, horizons: np.ndarray) -> SurvivalPrediction:
        """Log hazard ratio of each row's patient and risk by each horizon, in days."""
        ...


@dataclasses.dataclass(frozen=True)
class SurvivalFit:
    """What a fit tells beside the model itself.

    Attributes:
        score: Score of each training patient, in the order of `Patients.ids`, by fits that had not
            seen the patient; NaN where every fit had. Shape (p,).
        choices: What was chosen inside, JSON types.
        history: Training curves.
    """

    score: np.ndarray
    choices: dict[str, Any]
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


class BaseSurvivalModel(abc.ABC):
    """What all models of times share: one order of rows, patients that count once, one scale.

    A subclass fits in `_fit` and scores in `_score`; any scale will do, higher meaning an earlier
    event. What scores mean in hazards and risks is fitted here, on inner scores (`RiskScale`). A
    subclass whose risks are not proportional hazards of its score says so in `_risk`.

    Attributes:
        arm: Its modalities are the inputs.
        settings: The sections of the configuration that the registry declares for the model.
        inner_: See `SurvivalModel`.
        choices_: See `SurvivalModel`.
        history_: See `SurvivalModel`.
        scale_: From scores to risks.
    """

    inner_: InnerScores
    choices_: dict[str, Any]
    history_: list[dict[str, float]]
    scale_: RiskScale

    def __init__(self, arm: Arm, settings: Settings) -> None:
        """Stores the parameters; see `BaseSurvivalModel`."""
        self.arm = arm
        self.settings = settings

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Fits all rows anew, whatever was fitted before.

        Args:
            table: The outer training rows; their order does not matter.
            seed: Decides everything that is drawn: inner folds, initial weights, trials, …

        Raises:
            DataError: There are too few events, follow-up is not sound, or a modality is absent.
            ConfigError: A setting cannot be used with this table.
        """
        rows = table.take(canonical_order(table))
        patients = patients_of(rows)
        require_event(patients.times)
        record = self._fit(rows, patients, seed)
        known = np.isfinite(record.score)
        ids, times, score = patients.ids[known], patients.times.take(known), record.score[known]
        require_event(times)
        self.scale_ = fit_risk_scale(ids, times, score)
        self.inner_ = InnerScores(ids, times, self.scale_.log_hazard_ratio(score))
        self.choices_ = record.choices | {"risk_scale": self.scale_.record()}
        self.history_ = record.history
        return self

    def predict(self, table: FeatureTable, horizons: np.ndarray) -> SurvivalPrediction:
        """Log hazard ratio and risks of each row's patient.

        A patient's score is the mean over the patient's rows. Risks are of who was free of the
        event at entry, where the table says when that was.

        Args:
            table: Rows to score; n of them.
            horizons: Days since time zero. Shape (horizons,).

        Raises:
            DataError: A backbone, a patient column or an image is absent, or cannot be used.
        """
        horizons = np.asarray(horizons, dtype=float)
        if len(table) == 0:
            return SurvivalPrediction(np.empty(0), np.empty((0, len(horizons))))
        rows = table.take(canonical_order(table))
        _, first, place, counts = patient_rows(rows)
        score = np.bincount(place, weights=self._score(rows)) / counts
        lp = self.scale_.log_hazard_ratio(score)
        if len(lp) > 1 and np.ptp(lp) < CONSTANT:
            # A fit that gives everyone the same score ranks nobody; rounding must not.
            lp = np.zeros(len(lp))
        entry = rows.target.entry
        began = np.zeros(len(lp)) if entry is None else entry[first]
        risk = np.empty((len(lp), 0))
        if len(horizons):
            risk = self._risk(rows, lp, horizons, began)
        _, _, own, _ = patient_rows(table)
        return SurvivalPrediction(lp[own], risk[own])

    @abc.abstractmethod
    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        """Learns from rows in canonical order; keeps nothing of earlier fits."""

    @abc.abstractmethod
    def _score(self, rows: FeatureTable) -> np.ndarray:
        """Score of each row; at least one, in canonical order. Shape (n,)."""

    def _risk(
        self, rows: FeatureTable, lp: np.ndarray, horizons: np.ndarray, entry: np.ndarray
    ) -> np.ndarray:
        """Risks of the patients of these rows, by their log hazard ratios; (p, horizons)."""
        return self.scale_.risk(lp, horizons, entry)
