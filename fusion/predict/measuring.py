"""How a bundle is measured on another cohort, by kind of outcome; a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from featurestore.cohort import groups_of
from featurestore.errors import DataError
from featurestore.outcomes import ENTRY, EVENT, TIME, duration_words
from fusion.bundle.record import BundleRecord, ModelRecord, TimesModelRecord, TimesOutcomeRecord
from fusion.endpoints import BINARY, TIME_TO_EVENT
from fusion.evidence import align, score_arms
from fusion.evidence.survival import at
from fusion.evidence.survival.measures import measures
from fusion.evidence.survival.predictions import align_times
from fusion.evidence.survival.scoring import score_arms as score_times
from fusion.evidence.survival.support import find_support
from fusion.metrics import Estimate, logit
from fusion.predict.batch import ArmScore
from fusion.predict.scores_binary import Score
from fusion.predict.scores_times import TimesScore

_BY_HORIZON = {
    "auc": "AUC",
    "brier": "Brier",
    "observed_over_expected": "O/E",
    "calibration_intercept": "intercept",
    "calibration_slope": "slope",
}
"""Metrics at a horizon that are printed, by what they are called."""


class Measuring(Protocol):
    """How one bundle is measured.

    Attributes:
        headline: Metric whose interval the terminal names.
        shown: Metrics that are printed, and what they are called.
    """

    headline: str
    shown: Mapping[str, str]

    def entry(self, patient: Mapping[Any, Any]) -> float:
        """Days until which a patient of the cohort is known to be free of any event."""
        ...

    def row(self, score: ArmScore, patient: Mapping[Any, Any]) -> dict[str, Any]:
        """Columns of the predictions table about a patient of the cohort."""
        ...

    def events(self, rows: pd.DataFrame) -> int:
        """Patients with the outcome among the rows of one arm.

        Raises:
            DataError: Nothing can be measured on them.
        """
        ...

    def metrics(
        self,
        rows: pd.DataFrame,
        model: ModelRecord | TimesModelRecord,
        groups: Mapping[str, str],
        draws: int,
        seed: int,
    ) -> dict[str, Estimate]:
        """Every metric of an arm by its rows, on draws of groups of patients."""
        ...


class BinaryMeasuring:
    """Outcomes that are there or not; precision and recall are at the threshold of the bundle."""

    headline = BINARY.headline
    shown: Mapping[str, str] = {
        name: name
        for name in ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept",
                     "precision", "recall")
    }  # fmt: skip

    def __init__(self, record: BundleRecord) -> None:
        """Takes the record of a bundle, of which nothing more is needed."""

    def entry(self, patient: Mapping[Any, Any]) -> float:
        """Time does not count."""
        return 0.0

    def row(self, score: ArmScore, patient: Mapping[Any, Any]) -> dict[str, Any]:
        """Outcome, probability and threshold."""
        assert isinstance(score, Score)
        return {
            "y": int(patient["outcome"]),
            "score": float(logit(np.array(score.probability))),
            "probability": score.probability,
            "threshold": score.threshold,
        }

    def events(self, rows: pd.DataFrame) -> int:
        """Patients with the outcome; there must be some without."""
        if rows["y"].nunique() < 2:
            raise DataError("all who could be scored have the same outcome")
        return int(rows["y"].sum())

    def metrics(
        self,
        rows: pd.DataFrame,
        model: ModelRecord | TimesModelRecord,
        groups: Mapping[str, str],
        draws: int,
        seed: int,
    ) -> dict[str, Estimate]:
        """Those of a report."""
        assert isinstance(model, ModelRecord)
        aligned = align(rows, model.arm)
        clusters = groups_of(aligned.patient_ids, groups)
        scores = score_arms(aligned, clusters, model.threshold or 0.5, draws, seed)[model.arm]
        return {name: scores.estimate(name) for name in scores.metrics}


class TimesMeasuring:
    """Times to an event, at the horizons of the bundle that the other cohort's follow-up supports.

    Weights for censoring come from the other cohort: how long people are followed is its own.
    """

    headline = TIME_TO_EVENT.headline

    def __init__(self, record: BundleRecord) -> None:
        """Takes the horizons from the record of a bundle."""
        assert isinstance(record.outcome, TimesOutcomeRecord)
        self._horizons = record.outcome.horizons
        self.shown: Mapping[str, str] = {self.headline: "Uno's C", "harrell_c": "Harrell's C"} | {
            at(name, days): f"{called} {duration_words(days)}"
            for days in self._horizons
            for name, called in _BY_HORIZON.items()
        }

    def entry(self, patient: Mapping[Any, Any]) -> float:
        """Where the observation of the patient began."""
        return float(patient[ENTRY])

    def row(self, score: ArmScore, patient: Mapping[Any, Any]) -> dict[str, Any]:
        """Follow-up, log hazard ratio, risk group and risks."""
        assert isinstance(score, TimesScore)
        names = TIME_TO_EVENT.horizon_columns(self._horizons)
        risks = [np.nan if r.risk is None else r.risk for r in score.risks]
        return {
            "event": int(patient["outcome"]),
            "time": float(patient[TIME]),
            "entry": float(patient[ENTRY]),
            "score": score.log_hazard_ratio,
            "risk_group": score.group - 1,
            **dict(zip(names, risks, strict=True)),
        }

    def events(self, rows: pd.DataFrame) -> int:
        """Patients with the event; there must be some."""
        events = int((rows["event"] == EVENT).sum())
        if not events:
            raise DataError("none of those who could be scored had the event")
        return events

    def metrics(
        self,
        rows: pd.DataFrame,
        model: ModelRecord | TimesModelRecord,
        groups: Mapping[str, str],
        draws: int,
        seed: int,
    ) -> dict[str, Estimate]:
        """Those of a report, as far as follow-up supports them."""
        aligned = align_times(rows, model.arm)
        asked = measures(aligned, find_support(aligned))
        clusters = groups_of(aligned.patient_ids, groups)
        scores = score_times(aligned, asked, clusters, draws, seed)[model.arm]
        return {name: scores.estimate(name) for name in scores.metrics}


MEASURINGS: Mapping[str, Callable[[BundleRecord], Measuring]] = {
    "binary": BinaryMeasuring,
    "time_to_event": TimesMeasuring,
}
"""By kind of the outcome (`fusion.endpoints`)."""


def measuring_of(record: BundleRecord) -> Measuring:
    """How a bundle with this record is measured."""
    return MEASURINGS[record.kind](record)
