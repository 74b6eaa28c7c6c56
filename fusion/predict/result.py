"""What a prediction says, as data classes, JSON and table rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fusion.bundle.archive import Bundle
from fusion.bundle.record import RISKS
from fusion.predict.cases import Flag, Value

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Score:
    """What one arm says.

    Attributes:
        arm: Its name in the study.
        probability: Of the outcome.
        low: Lower end of the interval; None without bootstrap replicates.
        high: Upper end.
        ensemble: Least and greatest probability among the members of the model; None of one.
        threshold: Risks are `at or above threshold` from here on.
        used: Modalities that the score is made of.
        absent: Modalities that the arm knows and the patient lacks.
    """

    arm: str
    probability: float
    low: float | None
    high: float | None
    ensemble: tuple[float, float] | None
    threshold: float
    used: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def risk(self) -> str:
        """One of `RISKS`."""
        return RISKS[int(self.probability >= self.threshold)]


@dataclasses.dataclass(frozen=True)
class ImageDistance:
    """How far an image lies from those of training, as one encoder sees it.

    Attributes:
        image: Name of the image.
        encoder: Name of the encoder.
        distance: 1 is ordinary.
        nearer: Share of the training images that lie nearer.
        limit: Distances beyond are flagged.
    """

    image: str
    encoder: str
    distance: float
    nearer: float
    limit: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One patient's score.

    Attributes:
        patient_id: As it was given.
        score: What the bundle's first arm says.
        others: What its other arms say; those that know nothing of the patient are left out.
        missing: Columns without a value.
        imputed: What stood in for missing or unknown values of modalities that were used.
        flags: What makes the score less to be trusted.
        distances: One an image and encoder.
    """

    patient_id: str
    score: Score
    others: tuple[Score, ...]
    missing: tuple[str, ...]
    imputed: Mapping[str, Value | None]
    flags: tuple[Flag, ...]
    distances: tuple[ImageDistance, ...]


def prediction_record(prediction: Prediction, bundle: Bundle) -> dict[str, Any]:
    """A prediction as plain JSON, with everything that must stand beside it."""
    record, score = bundle.record, prediction.score
    return {
        "patient_id": prediction.patient_id,
        "outcome": record.outcome.name,
        "probability": score.probability,
        "interval": _interval(score),
        "ensemble": None if score.ensemble is None else list(score.ensemble),
        "risk": score.risk,
        "threshold": score.threshold,
        "arm": score.arm,
        "modalities": {"used": list(score.used), "absent": list(score.absent)},
        "missing": list(prediction.missing),
        "imputed": dict(prediction.imputed),
        "flags": [dataclasses.asdict(flag) for flag in prediction.flags],
        "out_of_distribution": any(f.kind == "out_of_distribution" for f in prediction.flags),
        "images": [dataclasses.asdict(distance) for distance in prediction.distances],
        "others": [
            {
                "arm": other.arm,
                "probability": other.probability,
                "interval": _interval(other),
                "risk": other.risk,
                "threshold": other.threshold,
                "modalities": {"used": list(other.used), "absent": list(other.absent)},
            }
            for other in prediction.others
        ],
        **standing(bundle),
    }


def standing(bundle: Bundle) -> dict[str, Any]:
    """What stands beside every probability of a bundle."""
    record = bundle.record
    return {
        "bundle": bundle.digest,
        "study": record.name,
        "definition": record.outcome.definition,
        "disclaimer": record.disclaimer,
        "watermark": record.watermark,
        "caveats": list(record.caveats),
    }


ROW_COLUMNS = (
    "patient_id",
    "probability",
    "low",
    "high",
    "risk",
    "threshold",
    "arm",
    "modalities",
    "modalities_absent",
    "missing",
    "imputed",
    "flags",
    "out_of_distribution",
    "error",
    "bundle",
    "watermark",
    "note",
)
"""Columns of a CSV file; lists are joined by `; `."""


def flat_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a prediction or of a failure as one row of `ROW_COLUMNS`."""
    interval = record.get("interval") or {}
    modalities = record.get("modalities") or {}
    return {
        "patient_id": record["patient_id"],
        "probability": record.get("probability"),
        "low": interval.get("low"),
        "high": interval.get("high"),
        "risk": record.get("risk"),
        "threshold": record.get("threshold"),
        "arm": record.get("arm"),
        "modalities": "; ".join(modalities.get("used", ())),
        "modalities_absent": "; ".join(modalities.get("absent", ())),
        "missing": "; ".join(record.get("missing", ())),
        "imputed": "; ".join(f"{k}={v}" for k, v in record.get("imputed", {}).items()),
        "flags": "; ".join(f"{f['kind']}: {f['what']}" for f in record.get("flags", ())),
        "out_of_distribution": record.get("out_of_distribution"),
        "error": record.get("error"),
        "bundle": record["bundle"],
        "watermark": record["watermark"],
        "note": record["disclaimer"],
    }


def _interval(score: Score) -> dict[str, float] | None:
    if score.low is None or score.high is None:
        return None
    return {"low": score.low, "high": score.high, "level": LEVEL}
