"""Somebody's classifier as a model of a binary outcome."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from featurestore.errors import DataError, one_line
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.inner import EncodedRows, encode_training, patient_auroc, patient_log_loss
from fusion.models.settings import Settings


class OwnClassifier(BaseModel):
    """Fits an estimator with `fit` and `predict_proba` on encoded patients.

    Columns and embeddings are encoded as for our own comparators (`TabularEncoder`), so missing
    modalities and unknown values are treated alike. Every patient is one row, the mean of his
    encoded rows: a patient with more pictures does not count more, whatever the estimator. Inner
    folds give the out-of-sample probabilities that calibration and threshold are fitted on.

    Attributes:
        encoder_: The encoder of the final fit.
        estimator_: The estimator, fitted on all training patients.
    """

    def __init__(self, arm: Arm, settings: Settings, estimator: Any, called: str) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Inner folds and preprocessing.
            estimator: The estimator; it is copied for each fit, never fitted itself.
            called: Its name in errors.
        """
        super().__init__(arm, settings)
        self.estimator = estimator
        self.called = called

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        data = encode_training(
            rows,
            self.arm.modalities,
            self.settings.metadata,
            self.settings.tuning.inner_folds,
            seed,
        )
        scores = []
        for fold in data.folds:
            fitted = self._fitted(fold.training, seed)
            scores.append(self._scored(fitted, fold.validation))
        probability = data.out_of_fold(scores)
        self.encoder_ = data.encoder
        witness(self.called, "fitted on", data.whole.patient_ids)
        self.estimator_ = self._fitted(data.whole, seed)
        choices = {
            "estimator": type(self.estimator).__name__,
            "inner_log_loss": patient_log_loss(data.whole, probability),
            "inner_auroc": patient_auroc(data.whole, probability),
            "inputs": len(data.encoder.features_),
            "columns_without_information": sorted(data.encoder.dropped_),
        }
        ids, y = data.whole.patient_ids, data.whole.y
        return FitRecord(InnerPredictions.of_rows(ids, y, probability), choices)

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        x = self.encoder_.transform(rows)
        seen = EncodedRows(x, rows.y, rows.row_weights(), rows.patient_ids)
        return self._scored(self.estimator_, seen)

    def _fitted(self, rows: EncodedRows, seed: int) -> Any:
        first, place, counts = _patients(rows.patient_ids)
        return fit_copy(
            self.estimator, _means(rows.x, place, counts), rows.y[first].astype(int), seed,
            self.called,
        )  # fmt: skip

    def _scored(self, fitted: Any, rows: EncodedRows) -> np.ndarray:
        """Probability of each row: that of its patient."""
        _, place, counts = _patients(rows.patient_ids)
        return event_probability(fitted, _means(rows.x, place, counts), self.called)[place]


def fit_copy(estimator: Any, x: np.ndarray, y: Any, seed: int, called: str) -> Any:
    """Fits a fresh copy of an estimator; states of random draws that are None get the seed.

    Args:
        estimator: It is not changed.
        x: Shape (patients, inputs).
        y: What it learns.
        seed: Seed of the fit.
        called: Its name in errors.

    Raises:
        DataError: It raised an error, which is told in one line.
    """
    try:
        made = _copied(estimator)
        if hasattr(made, "get_params"):
            states = made.get_params(deep=True)
            unset = [k for k in states if k.split("__")[-1] == "random_state" and states[k] is None]
            made.set_params(**dict.fromkeys(unset, seed % 2**32))
        with warnings.catch_warnings():
            # One line a fit, of hundreds of fits; `choices.json` says how well each did.
            warnings.simplefilter("ignore")
            fitted = made.fit(x, y)
        return made if fitted is None else fitted
    except Exception as error:
        raise DataError(_failed(called, "fitted", error)) from error


def event_probability(fitted: Any, x: np.ndarray, called: str) -> np.ndarray:
    """Probability of the event by a fitted classifier; shape (patients,).

    Raises:
        DataError: It raised an error, or what it returns are no probabilities.
    """
    try:
        found = np.asarray(fitted.predict_proba(x), dtype=float)
    except Exception as error:
        raise DataError(_failed(called, "asked for probabilities", error)) from error
    if found.ndim == 2 and found.shape[1] == 2:
        found = found[:, 1]
    if found.shape != (len(x),):
        raise DataError(
            f"{called}: predict_proba gave {found.shape} for {len(x)} patients; it must give a "
            f"column for each of the outcomes 0 and 1"
        )
    if not (np.isfinite(found) & (found >= 0) & (found <= 1)).all():
        raise DataError(f"{called}: predict_proba gave values that are no probabilities")
    return found


def _copied(estimator: Any) -> Any:
    from sklearn.base import clone

    if isinstance(estimator, type):
        return estimator()
    return clone(estimator, safe=False)


def _failed(called: str, doing: str, error: Exception) -> str:
    return f"{called} could not be {doing} ({type(error).__name__}: {one_line(error)})"


def _patients(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A row of each patient, the position of each row's patient, and rows of each patient."""
    _, first, place, counts = np.unique(
        ids.astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    return first, place, counts


def _means(x: np.ndarray, place: np.ndarray, counts: np.ndarray) -> np.ndarray:
    total = np.zeros((len(counts), x.shape[1]))
    np.add.at(total, place, x)
    return np.asarray(total / counts[:, None])
