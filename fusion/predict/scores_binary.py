"""Probabilities of an outcome that is there or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from featurestore.outcomes import Target
from fusion.bundle.codecs_binary import load_calibration
from fusion.bundle.record import RISKS, BundleRecord, ModelRecord, TimesModelRecord
from fusion.metrics import by_patient, sigmoid
from fusion.models import Calibration, Model
from fusion.models.fusion_head import FusionHeadModel
from fusion.predict.batch import LEVEL, ArmScore, Batch, LoadedArm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score(ArmScore):
    """What one arm says.

    Attributes:
        probability: Of the outcome.
        low: Lower end of the interval; None without bootstrap replicates.
        high: Upper end.
        ensemble: Least and greatest probability among the members of the model; None of one.
        threshold: Risks are `at or above threshold` from here on.
    """

    probability: float
    low: float | None
    high: float | None
    ensemble: tuple[float, float] | None
    threshold: float

    @property
    def risk(self) -> str:
        """One of `RISKS`."""
        return RISKS[int(self.probability >= self.threshold)]


class BinaryScoring:
    """Scores of a bundle of this kind; see `fusion.predict.kinds.Scoring`."""

    contributions = "log odds"
    columns: tuple[str, ...] = ("probability", "low", "high", "risk", "threshold")

    def __init__(self, record: BundleRecord) -> None:
        """Takes the record of a bundle, of which nothing more is needed."""

    def load(self, record: ModelRecord | TimesModelRecord) -> Calibration:
        """The calibration of an arm."""
        assert isinstance(record, ModelRecord)
        return load_calibration(record.calibration)

    def target(self, entry: np.ndarray) -> Target:
        """Nothing is known of the outcome."""
        return Target.binary(np.zeros(len(entry)))

    def raw(self, arm: LoadedArm, batch: Batch) -> np.ndarray:
        """Log odds of each patient; shape (patients,)."""
        return log_odds(arm.model, batch)

    def scores(self, arm: LoadedArm, batch: Batch) -> list[ArmScore]:
        """What an arm says of each patient."""
        assert isinstance(arm.record, ModelRecord)
        raw = log_odds(arm.model, batch)
        low, high = _interval(arm, batch, raw)
        ends = _ensemble(arm, batch)
        probability = arm.decided(raw)
        return [
            Score(
                arm=arm.record.arm,
                probability=float(probability[k]),
                low=None if low is None else float(low[k]),
                high=None if high is None else float(high[k]),
                ensemble=None if ends is None else (float(ends[0][k]), float(ends[1][k])),
                threshold=arm.record.threshold,
            )
            for k in range(len(batch.rows))
        ]

    def numbers(self, score: ArmScore) -> Iterator[float]:
        """Numbers that must be finite."""
        assert isinstance(score, Score)
        yield score.probability
        yield from (n for n in (score.low, score.high) if n is not None)
        yield from score.ensemble or ()

    def probabilities(self, score: ArmScore) -> Iterator[float]:
        """Numbers that must lie between 0 and 1."""
        assert isinstance(score, Score)
        yield score.probability

    def first(self, score: ArmScore) -> dict[str, Any]:
        """The score of the first arm as plain JSON."""
        assert isinstance(score, Score)
        return {
            "probability": score.probability,
            "interval": _ends(score),
            "ensemble": None if score.ensemble is None else list(score.ensemble),
            "risk": score.risk,
            "threshold": score.threshold,
        }

    def other(self, score: ArmScore) -> dict[str, Any]:
        """The score of another arm as plain JSON."""
        assert isinstance(score, Score)
        return {
            "probability": score.probability,
            "interval": _ends(score),
            "risk": score.risk,
            "threshold": score.threshold,
        }

    def row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Cells of `columns`, of the JSON of a prediction or of a failure."""
        interval = record.get("interval") or {}
        return {
            "probability": record.get("probability"),
            "low": interval.get("low"),
            "high": interval.get("high"),
            "risk": record.get("risk"),
            "threshold": record.get("threshold"),
        }

    def title(self, record: Mapping[str, Any]) -> str:
        """The score in a few words, of the JSON of a prediction."""
        return f"probability {record['probability']:.3f}"


def log_odds(model: Model, batch: Batch) -> np.ndarray:
    """Mean log odds of each patient, over her rows; shape (patients,).

    Rounded to single precision: the last bits of a sum in double precision may depend on the rows
    beside it, and a score must not.
    """
    table = batch.table
    if isinstance(model, FusionHeadModel):
        probability = sigmoid(model.member_logits(table, batch.rows).mean(axis=0))
    else:
        probability = model.predict_proba(table)
    _, _, score = by_patient(table.patient_ids, table.y, probability)
    return score.astype(np.float32).astype(np.float64)


def _interval(
    arm: LoadedArm, batch: Batch, raw: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Student's interval over the log odds of the replicates, around those of the model."""
    if len(arm.replicates) < 2:
        return None, None
    drawn = np.stack([log_odds(replicate, batch) for replicate in arm.replicates])
    quantile = float(student_t.ppf((1 + LEVEL) / 2, len(drawn) - 1))
    reach = quantile * drawn.std(axis=0, ddof=1)
    return arm.decided(raw - reach), arm.decided(raw + reach)


def _ensemble(arm: LoadedArm, batch: Batch) -> tuple[np.ndarray, np.ndarray] | None:
    """Least and greatest probability of each patient among the members of an ensemble."""
    if not isinstance(arm.model, FusionHeadModel):
        return None
    members = arm.model.member_logits(batch.table, batch.rows)
    if len(members) < 2:
        return None
    logits = np.stack([members[:, rows].mean(axis=1) for rows in batch.rows], axis=1)
    return arm.decided(logits.min(axis=0)), arm.decided(logits.max(axis=0))


def _ends(score: Score) -> dict[str, float] | None:
    if score.low is None or score.high is None:
        return None
    return {"low": score.low, "high": score.high, "level": LEVEL}
