"""Answers of the service, for its OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic

from featurestore.units import Observed
from fusion.bundle.archive import Bundle
from fusion.bundle.record import (
    FittedRecord,
    ImageInput,
    InputColumn,
    ModelRecord,
    OutcomeRecord,
    Performance,
    TimesModelRecord,
    TimesOutcomeRecord,
)
from fusion.predict.cases import asked_beside
from fusion.serve.limits import Limits
from fusion.serve.uploads import ROLE_MARK


class IntervalOut(pydantic.BaseModel):
    """A 95 % interval of a probability (docs/bundles.md says of what)."""

    low: float
    high: float
    level: float


class FlagOut(pydantic.BaseModel):
    """What makes a score less to be trusted."""

    kind: str
    what: str
    text: str


class ModalitiesOut(pydantic.BaseModel):
    """What a score is made of."""

    used: list[str]
    absent: list[str]


class DistanceOut(pydantic.BaseModel):
    """How far an image lies from those of training."""

    image: str
    encoder: str
    distance: float
    nearer: float
    limit: float


class RiskOut(pydantic.BaseModel):
    """Risk of the event by a horizon, for who is free of it at entry."""

    days: float
    horizon: str
    risk: float | None = pydantic.Field(ge=0, le=1)
    interval: IntervalOut | None


class CurveOut(pydantic.BaseModel):
    """Probability of being free of the event over time, with pointwise intervals."""

    days: list[float]
    event_free: list[float]
    low: list[float | None] | None
    high: list[float | None] | None


class ArmScoreOut(pydantic.BaseModel):
    """What is said of the arm whose score it is."""

    arm: str
    modalities: ModalitiesOut


class OtherOut(ArmScoreOut):
    """What another arm of the bundle says."""

    probability: float
    interval: IntervalOut | None
    risk: str
    threshold: float


class TimesOtherOut(ArmScoreOut):
    """What another arm of a bundle of times to an event says."""

    log_hazard_ratio: float
    interval: IntervalOut | None
    risk: str
    risks: list[RiskOut]
    median_days: float | None


class OverlayOut(pydantic.BaseModel):
    """A Grad-CAM overlay; without heat, or of an untrained encoder, it explains nothing."""

    image: str
    encoder: str
    png_base64: str
    trained: bool
    heated: bool


class ContributionOut(pydantic.BaseModel):
    """Log odds, or log hazard ratio, with one input minus those without it."""

    name: str
    kind: str
    value: str
    change: float


class ExplanationOut(pydantic.BaseModel):
    """Why the score is what it is."""

    method: str
    overlays: list[OverlayOut]
    contributions: list[ContributionOut]
    notes: list[str]


class StandingOut(pydantic.BaseModel):
    """One patient's score of any kind: what stands beside it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    outcome: str
    arm: str
    modalities: ModalitiesOut
    missing: list[str]
    imputed: dict[str, float | str | None]
    flags: list[FlagOut]
    out_of_distribution: bool
    images: list[DistanceOut]
    explanation: ExplanationOut | None = None
    bundle: str
    study: str
    definition: str
    disclaimer: str
    watermark: str
    caveats: list[str]


class PredictionOut(StandingOut):
    """One patient's score and everything that must stand beside it."""

    probability: float = pydantic.Field(ge=0, le=1)
    interval: IntervalOut | None
    ensemble: list[float] | None
    risk: str
    threshold: float
    others: list[OtherOut]


class TimesPredictionOut(StandingOut):
    """One patient's risks over time and everything that must stand beside them."""

    log_hazard_ratio: float
    interval: IntervalOut | None
    risk: str
    risks: list[RiskOut]
    median_days: float | None
    time_zero: str
    known_until_days: float
    curve: CurveOut
    others: list[TimesOtherOut]


class FindingOut(pydantic.BaseModel):
    """What the study's report says before any number."""

    level: str
    text: str


class ArmOut(pydantic.BaseModel):
    """One arm of the bundle."""

    arm: str
    model: str
    modalities: list[str]
    performance: Performance


class BinaryArmOut(ArmOut):
    """One arm of a binary outcome."""

    threshold: float
    threshold_rule: str


class TimesArmOut(ArmOut):
    """One arm of times to an event."""

    cut_points: list[float]
    cut_rule: str


class SchemaOut(pydantic.BaseModel):
    """What the bundle takes, and what is known about it.

    `beside` names values that no model looks at: of times to an event, for how many days since
    time zero the patient is free of the event.
    """

    bundle: str
    study: str
    disclaimer: str
    watermark: str
    caveats: list[str]
    findings: list[FindingOut]
    outcome: OutcomeRecord | TimesOutcomeRecord
    inputs: list[InputColumn]
    beside: list[str]
    image: ImageInput
    arms: list[BinaryArmOut | TimesArmOut]
    observed: Observed
    patients: int
    events: int
    limits: dict[str, float]


PREDICTIONS: dict[str, type[StandingOut]] = {
    "binary": PredictionOut,
    "time_to_event": TimesPredictionOut,
}
"""What `/v1/predict` answers, by kind of the outcome."""


class HealthOut(pydantic.BaseModel):
    """Whether the service answers, and with what."""

    status: str
    bundle: str


def _arm_facts(m: FittedRecord) -> dict[str, Any]:
    return {
        "arm": m.arm,
        "model": m.model,
        "modalities": [str(one["name"]) for one in m.modalities],
        "performance": m.performance,
    }


def _binary_arm(m: FittedRecord) -> BinaryArmOut:
    assert isinstance(m, ModelRecord)
    rule = {"threshold": m.threshold, "threshold_rule": m.threshold_rule}
    return BinaryArmOut(**_arm_facts(m), **rule)


def _times_arm(m: FittedRecord) -> TimesArmOut:
    assert isinstance(m, TimesModelRecord)
    return TimesArmOut(**_arm_facts(m), cut_points=list(m.cut_points), cut_rule=m.cut_rule)


_ARMS: dict[str, Callable[[FittedRecord], BinaryArmOut | TimesArmOut]] = {
    "binary": _binary_arm,
    "time_to_event": _times_arm,
}


def schema_out(bundle: Bundle, limits: Limits) -> SchemaOut:
    """What `/v1/schema` answers."""
    record = bundle.record
    return SchemaOut(
        bundle=bundle.digest,
        study=record.name,
        disclaimer=record.disclaimer,
        watermark=record.watermark,
        caveats=list(record.caveats),
        findings=[FindingOut(level=f.level, text=f.text) for f in record.findings],
        outcome=record.outcome,
        inputs=list(record.inputs),
        beside=list(asked_beside(record)),
        image=record.image,
        arms=[_ARMS[record.kind](m) for m in record.models],
        observed=record.cohort.observed,
        patients=record.cohort.patients,
        events=record.cohort.events,
        limits={
            "upload_mb": limits.upload_bytes / 1e6,
            "megapixels": limits.pixels / 1e6,
            "images": limits.images,
        },
    )


def request_body(bundle: Bundle) -> dict[str, Any]:
    """The multipart body of a prediction, for the OpenAPI document."""
    values = {column.name: _value_schema(column) for column in bundle.record.inputs}
    values |= {
        name: {"type": ["number", "null"], "minimum": 0} for name in asked_beside(bundle.record)
    }
    metadata = {"type": "object", "properties": values, "additionalProperties": False}
    image = {"type": "array", "items": {"type": "string", "format": "binary"}}
    roles = bundle.record.image.roles
    images = {f"image{ROLE_MARK}{role}": image for role in roles} if roles else {"image": image}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {**images, "metadata": metadata},
                    "additionalProperties": False,
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            }
        },
    }


def _value_schema(column: InputColumn) -> dict[str, Any]:
    about = {"title": column.label, "description": column.unit or column.kind}
    if column.is_text:
        seen = ", ".join(column.training_levels)
        return {**about, "type": ["string", "null"], "description": f"one of: {seen}"}
    if column.kind == "binary":
        return {**about, "enum": [0, 1, True, False, None]}
    low, high = column.allowed_range or (None, None)
    bounds = {"minimum": low, "maximum": high}
    kept = {k: v for k, v in bounds.items() if v is not None}
    return {**about, "type": ["number", "null"], **kept}
