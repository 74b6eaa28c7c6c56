"""Fitted models that another step needs again, kept beside the parts of their fits.

One sealed file each: arrays, and a record as JSON among them. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from featurestore.errors import DataError
from featurestore.sealed import read_sealed, sealing
from fusion.models import Differentiable

_RECORD = "record"
_UNUSABLE = (
    DataError, OSError, safetensors.SafetensorError,
    # record and arrays do not fit
    ValueError, KeyError, TypeError, RuntimeError, AttributeError, IndexError,
)  # fmt: skip


def keep_model(model: Differentiable, digest: str, folder: Path) -> None:
    """Writes a fitted model; where nothing can be written it is not kept.

    Args:
        model: The model.
        digest: Of the task that it was fitted for (`Task.digest`).
        folder: Where the parts are.
    """
    record, arrays = model.to_state()
    text = json.dumps({"digest": digest, "state": record}).encode()
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = safetensors.numpy.save({**whole, _RECORD: np.frombuffer(text, dtype=np.uint8)})
    # What is not kept can be fitted again.
    with contextlib.suppress(OSError), sealing(_path(digest, folder)) as temporary:
        temporary.write_bytes(data)


def kept_model(kind: type[Differentiable], digest: str, folder: Path) -> Differentiable | None:
    """Reads what `keep_model` wrote.

    Args:
        kind: Class of the model.
        digest: Of its task.
        folder: Where the parts are.

    Returns:
        None where there is none, it is of another task, or it is damaged.
    """
    try:
        arrays = dict(safetensors.numpy.load(read_sealed(_path(digest, folder), "")))
        stored = json.loads(arrays.pop(_RECORD).tobytes())
        return kind.from_state(stored["state"], arrays) if stored["digest"] == digest else None
    except _UNUSABLE:
        return None


def _path(digest: str, folder: Path) -> Path:
    return folder / f"{digest}.safetensors"
