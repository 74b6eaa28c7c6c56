"""Comparators that choose among a few settings by inner folds: linear, forest, kernel."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from fusion.arms import Arm
from fusion.features import FeatureTable, TabularEncoder
from fusion.ledger import witness
from fusion.metrics import logit, sigmoid
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.calibration import PlattScaling, cross_fitted_platt, fit_platt
from fusion.models.inner import (
    EncodedRows,
    TrainingData,
    encode_training,
    patient_auroc,
    patient_log_loss,
)
from fusion.models.settings import Settings

Scorer = Callable[[np.ndarray], np.ndarray]
"""Encoded rows (n, p) to scores (n,) that rise with the risk."""


class Estimator(Protocol):
    """A way to fit encoded rows, and the settings to choose among.

    Attributes:
        name: Name in `choices_`.
        candidates: Settings; of equally good ones the first is taken.
        scores_are_logits: Whether a score is the log odds of the outcome; otherwise scores become
            probabilities by Platt scaling of inner out-of-fold scores.
    """

    name: ClassVar[str]
    candidates: ClassVar[tuple[dict[str, float], ...]]
    scores_are_logits: ClassVar[bool]

    def fit(self, rows: EncodedRows, parameters: Mapping[str, float], seed: int) -> Scorer:
        """Fits the rows with their weights."""
        ...


class GridModel(BaseModel):
    """Fits every candidate on every inner fold, then the best one on all rows.

    The best candidate has the lowest mean log-loss over inner patients, a proper score: AUROC of
    small inner folds moves in steps and cannot see a penalty that is too weak.

    Attributes:
        encoder_: The encoder of the final fit.
        scorer_: The final fit.
        scaling_: From scores to probabilities.
    """

    def __init__(
        self, arm: Arm, settings: Settings, estimator: str = "logistic_regression"
    ) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Inner folds and preprocessing.
            estimator: What is fitted: key of `ESTIMATORS`.
        """
        super().__init__(arm, settings)
        self.estimator = ESTIMATORS[estimator]

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        data = encode_training(
            rows,
            self.arm.modalities,
            self.settings.metadata,
            self.settings.tuning.inner_folds,
            seed,
        )
        tried = [self._out_of_fold(data, c, seed) for c in self.estimator.candidates]
        witness("setting", "selected on", data.whole.patient_ids)
        losses = [patient_log_loss(data.whole, probability) for _, probability in tried]
        best = int(np.argmin(losses))
        parameters = self.estimator.candidates[best]
        score, probability = tried[best]
        self.encoder_ = data.encoder
        witness(self.estimator.name, "fitted on", data.whole.patient_ids)
        self.scorer_ = self.estimator.fit(data.whole, parameters, seed)
        self.scaling_ = (
            PlattScaling(1.0, 0.0)
            if self.estimator.scores_are_logits
            else _calibrated(score, data.whole)
        )
        choices = {
            "estimator": self.estimator.name,
            "parameters": dict(parameters),
            "inner_log_loss": losses[best],
            "inner_auroc": patient_auroc(data.whole, probability),
            "candidates": [
                {"parameters": dict(c), "inner_log_loss": loss}
                for c, loss in zip(self.estimator.candidates, losses, strict=True)
            ],
            "inputs": len(data.encoder.features_),
            "columns_without_information": sorted(data.encoder.dropped_),
        }
        if isinstance(self.scorer_, LinearScore):
            choices |= coefficients(self.scorer_, data.encoder)
        return FitRecord(
            InnerPredictions.of_rows(data.whole.patient_ids, data.whole.y, probability), choices
        )

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        return self.scaling_(self.scorer_(self.encoder_.transform(rows)))

    def _out_of_fold(
        self, data: TrainingData, parameters: Mapping[str, float], seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold scores and probabilities of all rows."""
        score = data.out_of_fold(
            [
                self.estimator.fit(fold.training, parameters, seed)(fold.validation.x)
                for fold in data.folds
            ]
        )
        if self.estimator.scores_are_logits:
            return score, sigmoid(score)
        rows = [fold.rows for fold in data.folds]
        return score, cross_fitted_platt(score, data.whole.y, data.whole.weights, rows)


def _calibrated(score: np.ndarray, rows: EncodedRows) -> PlattScaling:
    witness("calibration", "fitted on", rows.patient_ids)
    return fit_platt(score, rows.y, rows.weights)


@dataclasses.dataclass(frozen=True)
class LinearScore:
    """A linear function of encoded rows.

    Attributes:
        weights: Shape (p,).
        intercept: Score of a row of zeros.
    """

    weights: np.ndarray
    intercept: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Score of each row; shape (n,)."""
        return np.asarray(x @ self.weights[:, None] + self.intercept).ravel()


MOST_COEFFICIENTS = 200
"""Coefficients of a fit that are kept, the largest, where it has more inputs than that."""


def coefficients(score: LinearScore, encoder: TabularEncoder) -> dict[str, Any]:
    """What a linear score gives to each input, as plain JSON.

    Args:
        score: Fitted on what `encoder` returns.
        encoder: Fitted.

    Returns:
        `intercept`, the score of a row of means, and `coefficients`: of each input its name, the
        patient columns it is made of, the change of the score by one standard deviation of the
        input in training (`per_sd`), and by one unit of the column (`per_unit`): a year, a level
        of an ordinal column, yes instead of no; None for components. What is beyond
        `MOST_COEFFICIENTS` is counted in `coefficients_left_out`.
    """
    largest = np.argsort(-np.abs(score.weights), kind="stable")[:MOST_COEFFICIENTS]
    per_unit = score.weights * encoder.deviations_per_unit
    return {
        "intercept": score.intercept,
        "coefficients": [
            {
                "feature": encoder.features_[i].name,
                "columns": list(encoder.features_[i].columns),
                "per_sd": float(score.weights[i]),
                "per_unit": None if np.isnan(per_unit[i]) else float(per_unit[i]),
            }
            for i in sorted(largest)
        ],
        "coefficients_left_out": len(score.weights) - len(largest),
    }


class RidgeLogistic:
    """Logistic regression with an L2 penalty; `C` is the inverse of its strength."""

    name: ClassVar[str] = "logistic_regression"
    candidates: ClassVar[tuple[dict[str, float], ...]] = tuple(
        {"C": c} for c in (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    )
    scores_are_logits: ClassVar[bool] = True

    def fit(self, rows: EncodedRows, parameters: Mapping[str, float], seed: int) -> Scorer:
        """Fits by L-BFGS, which is deterministic."""
        model = LogisticRegression(C=parameters["C"], max_iter=5000, tol=1e-6)
        with warnings.catch_warnings():
            # The optimum is unique; a last step short of the tolerance moves no ranking.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows.x, rows.y, sample_weight=rows.weights)
        return LinearScore(model.coef_.ravel(), float(model.intercept_[0]))


class Forest:
    """Random forest (Breiman 2001); leaves large enough that their shares are probabilities."""

    name: ClassVar[str] = "random_forest"
    candidates: ClassVar[tuple[dict[str, float], ...]] = (
        {"min_samples_leaf": 10},
        {"min_samples_leaf": 4},
    )
    scores_are_logits: ClassVar[bool] = True
    TREES: ClassVar[int] = 300

    def fit(self, rows: EncodedRows, parameters: Mapping[str, float], seed: int) -> Scorer:
        """Fits on one thread."""
        model = RandomForestClassifier(
            n_estimators=self.TREES,
            min_samples_leaf=int(parameters["min_samples_leaf"]),
            max_features="sqrt",
            random_state=seed % 2**32,
            n_jobs=1,
        )
        model.fit(rows.x, rows.y, sample_weight=rows.weights)
        return lambda x: logit(model.predict_proba(x)[:, 1])


class RadialSvm:
    """Support vector machine with a radial kernel; `gamma` is a multiple of 1 / inputs.

    Probabilities come from Platt scaling of inner out-of-fold decision values: the margin of
    training rows themselves is biased, and scikit-learn's own scaling splits patients.
    """

    name: ClassVar[str] = "svm"
    candidates: ClassVar[tuple[dict[str, float], ...]] = tuple(
        {"C": c, "gamma": g} for c in (0.3, 1.0, 3.0) for g in (0.1, 0.3, 1.0)
    )
    scores_are_logits: ClassVar[bool] = False

    def fit(self, rows: EncodedRows, parameters: Mapping[str, float], seed: int) -> Scorer:
        """Fits; the solver is deterministic."""
        gamma = parameters["gamma"] / rows.x.shape[1]
        # The solver draws nothing, but without a state scikit-learn moves numpy's global one.
        model = SVC(C=parameters["C"], gamma=gamma, cache_size=500, random_state=0)
        model.fit(rows.x, rows.y, sample_weight=rows.weights)
        return model.decision_function


ESTIMATORS: dict[str, Estimator] = {
    estimator.name: estimator for estimator in (RidgeLogistic(), Forest(), RadialSvm())
}
"""Estimators by name. A new one is a class and its place in this tuple."""
