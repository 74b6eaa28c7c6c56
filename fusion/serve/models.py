"""Answers of the service, for its OpenAPI document."""

from __future__ import annotations

from typing import Any

import pydantic

from fusion.bundle.archive import Bundle
from fusion.bundle.record import ImageInput, InputColumn, OutcomeRecord, Performance
from fusion.serve.limits import Limits


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


class OtherOut(pydantic.BaseModel):
    """What another arm of the bundle says."""

    arm: str
    probability: float
    interval: IntervalOut | None
    risk: str
    threshold: float
    modalities: ModalitiesOut


class OverlayOut(pydantic.BaseModel):
    """A Grad-CAM overlay."""

    image: str
    encoder: str
    png_base64: str


class ContributionOut(pydantic.BaseModel):
    """Log odds with one input minus those without it."""

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


class PredictionOut(pydantic.BaseModel):
    """One patient's score and everything that must stand beside it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    outcome: str
    probability: float = pydantic.Field(ge=0, le=1)
    interval: IntervalOut | None
    ensemble: list[float] | None
    risk: str
    threshold: float
    arm: str
    modalities: ModalitiesOut
    missing: list[str]
    imputed: dict[str, float | str | None]
    flags: list[FlagOut]
    out_of_distribution: bool
    images: list[DistanceOut]
    others: list[OtherOut]
    explanation: ExplanationOut | None = None
    bundle: str
    study: str
    definition: str
    disclaimer: str
    watermark: str
    caveats: list[str]


class FindingOut(pydantic.BaseModel):
    """What the study's report says before any number."""

    level: str
    text: str


class ArmOut(pydantic.BaseModel):
    """One arm of the bundle."""

    arm: str
    model: str
    modalities: list[str]
    threshold: float
    threshold_rule: str
    performance: Performance


class SchemaOut(pydantic.BaseModel):
    """What the bundle takes, and what is known about it."""

    bundle: str
    study: str
    disclaimer: str
    watermark: str
    caveats: list[str]
    findings: list[FindingOut]
    outcome: OutcomeRecord
    inputs: list[InputColumn]
    image: ImageInput
    arms: list[ArmOut]
    patients: int
    events: int
    limits: dict[str, float]


class HealthOut(pydantic.BaseModel):
    """Whether the service answers, and with what."""

    status: str
    bundle: str


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
        image=record.image,
        arms=[
            ArmOut(
                arm=m.arm,
                model=m.model,
                modalities=[str(one["name"]) for one in m.modalities],
                threshold=m.threshold,
                threshold_rule=m.threshold_rule,
                performance=m.performance,
            )
            for m in record.models
        ],
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
    metadata = {"type": "object", "properties": values, "additionalProperties": False}
    image = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": image, "metadata": metadata},
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
