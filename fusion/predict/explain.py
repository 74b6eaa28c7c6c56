"""Why one patient has this score: Grad-CAM of every backbone, and what each input changes.

A contribution is the log odds (of times to an event, the log hazard ratio) with one input minus
those without it: a column as if it were missing, all expression columns of a group together, an
image as one backbone sees it. That works
for every model in the same way. Contributions do not add up to the score, because inputs stand in
for one another; a value that is typical of training changes little.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from extractor.saliency import draw_overlays
from featurestore.atomic import replacing, write_text
from featurestore.errors import DataError
from fusion.bundle.record import InputColumn
from fusion.features import FeatureTable
from fusion.models import Differentiable, single_thread
from fusion.predict.batch import Batch, LoadedArm, Prepared
from fusion.predict.predictor import Predictor
from fusion.roles import encoder_of, role_of


def method(predictor: Predictor) -> str:
    """What overlays and contributions are, in words."""
    return (
        "Overlays: Grad-CAM of the fused score; warm colours raise it. Contributions: "
        f"{predictor.scoring.contributions} with the input minus those without it."
    )


@dataclasses.dataclass(frozen=True)
class Contribution:
    """What one input changes.

    Attributes:
        name: Column, group of columns, or encoder.
        kind: `value`, `group` or `image`.
        value: As it was given, for people.
        change: Log odds, or log hazard ratio, with the input minus those without.
    """

    name: str
    kind: str
    value: str
    change: float


@dataclasses.dataclass(frozen=True)
class Overlay:
    """One Grad-CAM.

    Attributes:
        image: Name of the image.
        encoder: Name of the encoder.
        png: The picture with its heat.
        trained: Whether the encoder ever learned anything; a map of one with random weights shows
            an untrained network.
        heated: Whether anything in the picture raises the score, so that there is heat.
    """

    image: str
    encoder: str
    png: bytes
    trained: bool
    heated: bool


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why a patient has a score.

    Attributes:
        overlays: One an image and encoder of the arm.
        contributions: The largest change first.
        notes: What could not be explained.
    """

    overlays: tuple[Overlay, ...]
    contributions: tuple[Contribution, ...]
    notes: tuple[str, ...]


def explain(predictor: Predictor, prepared: Prepared) -> Explanation:
    """Explains the score of the bundle's first arm for one patient."""
    batch = predictor.batch([prepared])
    arm = predictor.arms[0]
    with single_thread():
        changes = sorted(
            _contributions(predictor, arm, prepared, batch), key=lambda c: -abs(c.change)
        )
        overlays, notes = _overlays(predictor, arm, prepared, batch.table)
    return Explanation(overlays, tuple(changes), notes)


def explain_record(predictor: Predictor, prepared: Prepared) -> dict[str, Any]:
    """The same as plain JSON, pictures as base64."""
    explanation = explain(predictor, prepared)
    return {
        "method": method(predictor),
        "overlays": [
            {
                "image": o.image,
                "encoder": o.encoder,
                "png_base64": base64.b64encode(o.png).decode(),
                "trained": o.trained,
                "heated": o.heated,
            }
            for o in explanation.overlays
        ],
        "contributions": [dataclasses.asdict(c) for c in explanation.contributions],
        "notes": list(explanation.notes),
    }


def write_explanation(
    predictor: Predictor, prepared: Prepared, record: dict[str, Any], folder: Path
) -> None:
    """Writes overlays and a chart of contributions as PNG, and everything as `explanation.json`.

    Args:
        predictor: The bundle at work.
        prepared: The patient.
        record: The prediction.
        folder: Folder of this patient.

    Raises:
        DataError: The folder cannot be written.
    """
    from fusion.predict.chart import contributions_chart

    explanation = explain(predictor, prepared)
    files = {
        f"gradcam-{k // max(1, len(predictor.encoders.loaded)) + 1}-{o.encoder}.png": o
        for k, o in enumerate(explanation.overlays)
    }
    content = {
        "prediction": record,
        "method": method(predictor),
        "overlays": [
            {
                "file": name,
                "image": o.image,
                "encoder": o.encoder,
                "trained": o.trained,
                "heated": o.heated,
            }
            for name, o in files.items()
        ],
        "contributions": [dataclasses.asdict(c) for c in explanation.contributions],
        "notes": list(explanation.notes),
    }
    title = f"{record['outcome']}: {predictor.scoring.title(record)}"
    what = predictor.scoring.contributions
    chart = contributions_chart(explanation.contributions, record, title, what)
    try:
        for name, data in [(n, o.png) for n, o in files.items()] + [("contributions.png", chart)]:
            with replacing(folder / name) as temporary:
                temporary.write_bytes(data)
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(folder / "explanation.json", text + "\n")
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror or error}") from None


def explainer(predictor: Predictor, folder: Path) -> Callable[[Prepared, dict[str, Any]], None]:
    """Returns what writes the explanation of each patient into a folder of its own."""
    count = itertools.count(1)

    def write(prepared: Prepared, record: dict[str, Any]) -> None:
        # An id is no file name: what is safe of it is kept, and a number makes it unique.
        safe = re.sub(r"[^A-Za-z0-9_-]+", "_", prepared.case.patient_id)[:40] or "patient"
        write_explanation(predictor, prepared, record, folder / f"{next(count):05d}-{safe}")

    return write


def _contributions(
    predictor: Predictor, arm: LoadedArm, prepared: Prepared, batch: Batch
) -> Iterator[Contribution]:
    def changed(**without: Any) -> float:
        reduced = dataclasses.replace(batch, table=dataclasses.replace(table, **without))
        return float(whole - predictor.scoring.raw(arm, reduced)[0])

    table = batch.table
    whole = predictor.scoring.raw(arm, batch)[0]
    case = prepared.case
    for modality in arm.arm.modalities:
        for encoder in modality.embeddings:
            count = sum(role_of(encoder) in ("", picture.role) for picture in case.pictures)
            if not count:
                continue
            blank = np.full_like(table.embeddings[encoder], np.nan)
            change = changed(embeddings={**table.embeddings, encoder: blank})
            shown = "1 image" if count == 1 else f"{count} images"
            yield Contribution(encoder, "image", shown, change)
        own = modality.columns(table.dictionary)
        columns = [c for c in predictor.bundle.record.inputs if c.name in own]
        for name, kind, members in _units([c for c in columns if c.name in case.values]):
            emptied = table.columns.copy()
            for column in members:
                emptied[column.name] = None if column.is_text else np.nan
            shown = f"{len(members)} values" if kind == "group" else _shown(case, members[0])
            yield Contribution(name, kind, shown, changed(columns=emptied))


def _units(columns: list[InputColumn]) -> Iterator[tuple[str, str, list[InputColumn]]]:
    """Single columns, and expression columns by group."""
    groups: dict[str, list[InputColumn]] = {}
    for column in columns:
        if column.kind == "expression":
            groups.setdefault(column.group, []).append(column)
        else:
            yield column.label or column.name, "value", [column]
    for group, members in groups.items():
        yield group, "group", members


def _shown(case: Any, column: InputColumn) -> str:
    value = case.values[column.name]
    if column.kind == "binary":
        return "yes" if value else "no"
    return f"{value:g} {column.unit}".strip() if isinstance(value, float) else str(value)


def _overlays(
    predictor: Predictor, arm: LoadedArm, prepared: Prepared, table: FeatureTable
) -> tuple[tuple[Overlay, ...], tuple[str, ...]]:
    used = dict.fromkeys(name for modality in arm.arm.modalities for name in modality.embeddings)
    if not prepared.squares or not used:
        return (), ()
    if not isinstance(arm.model, Differentiable):
        return (), (f"{arm.record.model} has no gradient, so there is no Grad-CAM of its score.",)
    gradients = arm.model.embedding_gradients(table)
    loaded = predictor.encoders.loaded
    found: list[Overlay] = []
    notes: list[str] = []
    for k, picture in enumerate(prepared.case.pictures):
        own = {
            encoder_of(name): gradients[name][k]
            for name in used
            if role_of(name) in ("", picture.role)
        }
        backbones = {name: loaded[name].backbone for name in loaded if name in own}
        if not backbones:  # another arm of the bundle looks at images of this role
            continue
        drawn = draw_overlays(picture.read(), backbones, own, predictor.encoders.max_pixels)
        found += [
            Overlay(picture.name, name, png, loaded[name].record.trained, name not in drawn.cold)
            for name, png in drawn.pictures.items()
        ]
        notes += drawn.notes
    return tuple(found), tuple(dict.fromkeys(notes))
