"""What a prediction says, as data classes, JSON and table rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fusion.bundle.archive import Bundle
from fusion.predict.batch import ArmScore
from fusion.predict.cases import Flag, Value
from fusion.predict.kinds import Scoring, scoring_of


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
        score: What the bundle's first arm says: a `Score`, or a `TimesScore` of times to an event.
        others: What its other arms say; those that know nothing of the patient are left out.
        missing: Columns without a value.
        imputed: What stood in for missing or unknown values of modalities that were used.
        flags: What makes the score less to be trusted.
        distances: One an image and encoder.
    """

    patient_id: str
    score: Any
    others: tuple[Any, ...]
    missing: tuple[str, ...]
    imputed: Mapping[str, Value | None]
    flags: tuple[Flag, ...]
    distances: tuple[ImageDistance, ...]


def prediction_record(prediction: Prediction, bundle: Bundle) -> dict[str, Any]:
    """A prediction as plain JSON, with everything that must stand beside it."""
    record, score = bundle.record, prediction.score
    scoring = scoring_of(record)
    return {
        record.id_column: prediction.patient_id,
        "outcome": record.outcome.name,
        **scoring.first(score),
        "arm": score.arm,
        "modalities": _modalities(score),
        "missing": list(prediction.missing),
        "imputed": dict(prediction.imputed),
        "flags": [dataclasses.asdict(flag) for flag in prediction.flags],
        "out_of_distribution": any(f.kind == "out_of_distribution" for f in prediction.flags),
        "images": [dataclasses.asdict(distance) for distance in prediction.distances],
        "others": [
            {
                "arm": other.arm,
                **scoring.other(other),
                "modalities": _modalities(other),
            }
            for other in prediction.others
        ],
        **standing(bundle),
    }


def standing(bundle: Bundle) -> dict[str, Any]:
    """What stands beside every score of a bundle."""
    record = bundle.record
    return {
        "bundle": bundle.digest,
        "study": record.name,
        "definition": record.outcome.definition,
        "disclaimer": record.disclaimer,
        "watermark": record.watermark,
        "caveats": list(record.caveats),
    }


def id_column(record: Mapping[str, Any]) -> str:
    """What the id of a record is called."""
    return "lesion_id" if "lesion_id" in record else "patient_id"


def row_columns(scoring: Scoring, id_column: str) -> tuple[str, ...]:
    """Columns of a CSV file, the id first; lists are joined by `; `."""
    return (
        id_column,
        *scoring.columns,
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


def flat_row(record: Mapping[str, Any], scoring: Scoring) -> dict[str, Any]:
    """A record of a prediction or of a failure as one row of `row_columns`."""
    modalities = record.get("modalities") or {}
    return {
        id_column(record): record[id_column(record)],
        **scoring.row(record),
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


def _modalities(score: ArmScore) -> dict[str, list[str]]:
    return {"used": list(score.used), "absent": list(score.absent)}
