"""What a codec is: a fitted model as plain data, and its files. Nothing is pickled."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import safetensors
import safetensors.numpy

from featurestore.errors import DataError, name_some, one_line
from featurestore.json_text import parse_json
from fusion.features import Arrays
from fusion.models.settings import Settings

FITTED = Settings({})
"""Predicting asks no settings."""


@dataclasses.dataclass(frozen=True)
class State:
    """A fitted model as plain data.

    Attributes:
        record: JSON.
        arrays: Everything large.
        text: LightGBM's own format; empty for other models.
    """

    record: dict[str, Any]
    arrays: Arrays
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Codec:
    """One kind of model.

    Attributes:
        to_state: Of a fitted model.
        from_state: A model that predicts the same.
    """

    to_state: Callable[[Any], State]
    from_state: Callable[[State], Any]


def files_of(codec: Codec, model: Any, prefix: str) -> dict[str, bytes]:
    """Files of a fitted model.

    Args:
        codec: Of its kind of model.
        model: The model.
        prefix: Start of the names of its files.
    """
    state = codec.to_state(model)
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    text = json.dumps(state.record, sort_keys=True, ensure_ascii=False, allow_nan=False)
    files = {
        f"{prefix}.json": text.encode(),
        f"{prefix}.safetensors": safetensors.numpy.save(arrays),
    }
    return files | ({f"{prefix}.txt": state.text.encode()} if state.text else {})


def model_of(codec: Codec, files: Mapping[str, bytes], prefix: str) -> Any:
    """Rebuilds a model from its files; nothing is unpickled.

    Args:
        codec: Of its kind of model.
        files: Verified contents of the bundle.
        prefix: Start of the names of its files.

    Raises:
        DataError: A file is absent, or they do not fit together.
    """
    try:
        state = State(
            parse_json(files[f"{prefix}.json"]),
            load_arrays(files, f"{prefix}.safetensors"),
            files.get(f"{prefix}.txt", b"").decode(),
        )
        return codec.from_state(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise misfit(prefix, error) from None
    except lightgbm.basic.LightGBMError as error:
        raise misfit(prefix, error) from None


def load_arrays(files: Mapping[str, bytes], name: str) -> Arrays:
    """Arrays of a safetensors file of the bundle.

    Raises:
        DataError: There is no such file, it is damaged, or a value is not finite.
    """
    try:
        arrays = dict(safetensors.numpy.load(files[name]))
        odd = [key for key, array in arrays.items() if not _is_sound(key, array)]
        if odd:
            raise ValueError(f"values are not finite in {name_some(odd, 3)}")
        return arrays
    except (KeyError, ValueError, safetensors.SafetensorError) as error:
        raise misfit(name, error) from None


def _is_sound(name: str, array: np.ndarray) -> bool:
    """Whether all values are finite; the scale of a column that never varied is infinite."""
    if array.dtype.kind != "f":
        return array.dtype.kind in "iub"
    scale = name.rpartition(".")[2] == "scale"
    return bool((array > 0).all() if scale else np.isfinite(array).all())


def misfit(where: str, error: Exception) -> DataError:
    """What to say of files that do not fit together."""
    problem = one_line(error)
    return DataError(f"{where} of the bundle cannot be used ({type(error).__name__}: {problem})")
