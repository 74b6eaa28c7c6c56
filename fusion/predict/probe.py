"""Scores made-up patients when a bundle is loaded, so that one that cannot score is refused then.

Digests say that a bundle is as somebody wrote it, not that its parts fit together. Whoever writes
one with other tools can give it weights that are not finite, or of shapes that no input has; it
would load, and fail on the first patient.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from featurestore.errors import DataError, one_line
from fusion.bundle.record import InputColumn

if TYPE_CHECKING:
    from fusion.predict.batch import Prepared
    from fusion.predict.predictor import Predictor

_SIDE = 64


def require_scores(predictor: Predictor) -> None:
    """Scores a patient with everything, one without image and one without values.

    Raises:
        DataError: The bundle cannot score any of them, or a score is no probability.
    """
    try:
        cases = list(_cases(predictor))
        predictions = predictor.score(cases)
    except Exception as error:  # parts that do not fit together fail in any way
        problem = f"{type(error).__name__}: {one_line(error)}"
        raise DataError(f"the bundle cannot score a made-up patient ({problem})") from None
    if not predictions:
        raise DataError("the bundle can score nobody: it takes neither values nor images")
    scoring = predictor.scoring
    for prediction in predictions:
        scores = (prediction.score, *prediction.others)
        chances = [chance for score in scores for chance in scoring.probabilities(score)]
        numbers = [number for score in scores for number in scoring.numbers(score)]
        numbers += [n for d in prediction.distances for n in (d.distance, d.nearer, d.limit)]
        if not all(map(math.isfinite, numbers)) or not all(0.0 <= c <= 1.0 for c in chances):
            raise DataError("the bundle gives a made-up patient a score that is no probability")


def _cases(predictor: Predictor) -> Iterator[Prepared]:
    values = {c.name: _value(c) for c in predictor.bundle.record.inputs}
    roles = predictor.bundle.record.image.roles
    pictures = [_picture()] * max(len(roles), 1) if predictor.encoders.loaded else []
    for given, images in ((values, pictures), (values, []), ({}, pictures)):
        if given or images:
            case = predictor.case(given, images, roles=roles if images else ())
            if predictor.knows_something(case):
                yield predictor.prepare(case)


def _value(column: InputColumn) -> float | str:
    if column.is_text:
        return next(iter((*column.training_levels, *column.levels, "level")))
    if isinstance(column.typical, float):
        return column.typical if column.kind != "binary" else float(round(column.typical))
    return column.allowed_range[0] if column.allowed_range else 0.0


def _picture() -> bytes:
    """A dark spot on a light ground."""
    places = np.linspace(-1, 1, _SIDE)
    distance = np.hypot(places[:, None], places[None, :])
    grey = np.clip(80 + 120 * distance, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([grey, grey // 2 + 60, grey // 2 + 40], axis=-1)).save(buffer, "PNG")
    return buffer.getvalue()
