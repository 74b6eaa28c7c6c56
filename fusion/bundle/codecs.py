"""Fitted models to files and back: JSON, safetensors, and LightGBM's own text. Nothing is pickled.

A model that can be bundled is one line in `CODECS`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import safetensors
import safetensors.numpy

from featurestore.errors import ConfigError, DataError, name_some, one_line
from featurestore.json_text import parse_json
from fusion.arms import Arm
from fusion.bundle.trees_text import require_sound, without_tail
from fusion.features import Arrays, TabularEncoder
from fusion.models import (
    CALIBRATIONS,
    Calibration,
    IsotonicScaling,
    Model,
    PlattScaling,
    TemperatureScaling,
    Uncalibrated,
    find_own,
)
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.grid import GridModel, LinearScore
from fusion.models.lightgbm import LightGbmModel
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
    from_state: Callable[[State], Model]


def _head_state(model: FusionHeadModel) -> State:
    return State(*model.to_state())


def _head(state: State) -> Model:
    return FusionHeadModel.from_state(state.record, state.arrays)


def _trees_state(model: LightGbmModel) -> State:
    record, arrays = model.encoder_.to_state()
    whole = {"arm": dataclasses.asdict(model.arm), "encoder": record}
    return State(whole, arrays, without_tail(model.booster_.model_to_string()))


def _trees(state: State) -> Model:
    model = LightGbmModel(Arm.from_record(state.record["arm"]), FITTED)
    model.encoder_ = TabularEncoder.from_state(state.record["encoder"], state.arrays)
    require_sound(state.text, len(model.encoder_.features_))
    model.booster_ = lightgbm.Booster(model_str=state.text)
    return model


def _linear_state(model: GridModel) -> State:
    record, arrays = model.encoder_.to_state()
    whole = {
        "arm": dataclasses.asdict(model.arm),
        "encoder": record,
        "intercept": model.scorer_.intercept,  # type: ignore[attr-defined]
    }
    return State(whole, arrays | {"weights": model.scorer_.weights})  # type: ignore[attr-defined]


def _linear(state: State) -> Model:
    model = GridModel(Arm.from_record(state.record["arm"]), FITTED)
    model.encoder_ = TabularEncoder.from_state(state.record["encoder"], state.arrays)
    model.scorer_ = LinearScore(state.arrays["weights"], float(state.record["intercept"]))
    model.scaling_ = PlattScaling(1.0, 0.0)
    if len(state.arrays["weights"]) != len(model.encoder_.features_):
        raise ValueError("the weights were fitted on other inputs")
    return model


CODECS: dict[str, Codec] = {
    "fusion_head": Codec(_head_state, _head),
    "fusion_head_gated": Codec(_head_state, _head),
    "fusion_head_low_rank": Codec(_head_state, _head),
    "lightgbm": Codec(_trees_state, _trees),
    "logistic_regression": Codec(_linear_state, _linear),
}
"""Models that can be bundled, by name."""


def find_codec(model: str) -> Codec:
    """Looks up how a model is bundled.

    Raises:
        ConfigError: It cannot be.
    """
    found = codec_of(model)
    if found is None:
        raise ConfigError(
            f"{model} cannot be bundled{without_codec(model)}; these can: {', '.join(CODECS)}"
        )
    return found


def codec_of(model: str) -> Codec | None:
    """How a model is bundled: as ours are, or by the codec that somebody's model brings."""
    own = None if model in CODECS else find_own(model)
    return CODECS.get(model) if own is None else own.codec


def without_codec(model: str) -> str:
    """Why a model that is no part of melafuse cannot be bundled; nothing for ours."""
    if find_own(model) is None:
        return ""
    return (
        f" ({model} is no part of melafuse and brings no codec: a bundle holds plain arrays and "
        f"text that are checked byte by byte, never a pickle)"
    )


def save_model(kind: str, model: Model, prefix: str) -> dict[str, bytes]:
    """Files of a fitted model.

    Args:
        kind: Key of `CODECS`.
        model: The model.
        prefix: Start of the names of its files.
    """
    state = find_codec(kind).to_state(model)
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    text = json.dumps(state.record, sort_keys=True, ensure_ascii=False, allow_nan=False)
    files = {
        f"{prefix}.json": text.encode(),
        f"{prefix}.safetensors": safetensors.numpy.save(arrays),
    }
    return files | ({f"{prefix}.txt": state.text.encode()} if state.text else {})


def load_model(kind: str, files: Mapping[str, bytes], prefix: str) -> Model:
    """Rebuilds a model from its files; nothing is unpickled.

    Args:
        kind: Key of `CODECS`.
        files: Verified contents of the bundle.
        prefix: Start of the names of its files.

    Raises:
        ConfigError: No such model can be bundled, or its package is not here.
        DataError: A file is absent, or they do not fit together.
    """
    codec = codec_of(kind)
    if codec is None:
        raise ConfigError(
            f"the bundle has the model {kind!r}, which is no part of melafuse, and nothing here "
            f"registers it with a codec: install the package that does"
        )
    try:
        state = State(
            parse_json(files[f"{prefix}.json"]),
            load_arrays(files, f"{prefix}.safetensors"),
            files.get(f"{prefix}.txt", b"").decode(),
        )
        return codec.from_state(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise _misfit(prefix, error) from None
    except lightgbm.basic.LightGBMError as error:
        raise _misfit(prefix, error) from None


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
        raise _misfit(name, error) from None


def _is_sound(name: str, array: np.ndarray) -> bool:
    """Whether all values are finite; the scale of a column that never varied is infinite."""
    if array.dtype.kind != "f":
        return array.dtype.kind in "iub"
    scale = name.rpartition(".")[2] == "scale"
    return bool((array > 0).all() if scale else np.isfinite(array).all())


def _misfit(where: str, error: Exception) -> DataError:
    problem = one_line(error)
    return DataError(f"{where} of the bundle cannot be used ({type(error).__name__}: {problem})")


_SCALINGS: dict[str, type[Any]] = {
    "none": Uncalibrated,
    "platt": PlattScaling,
    "temperature": TemperatureScaling,
    "isotonic": IsotonicScaling,
}


def calibration_state(method: str, fitted: Calibration) -> dict[str, Any]:
    """A fitted calibration as plain JSON, complete."""
    record = {k: list(map(float, v)) if isinstance(v, tuple) else float(v)
              for k, v in dataclasses.asdict(fitted).items()}  # fmt: skip
    return {"method": method, **record}


def load_calibration(record: Mapping[str, Any]) -> Calibration:
    """Rebuilds a calibration from `calibration_state` output.

    Raises:
        DataError: It is none.
    """
    try:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else float(v)
                  for k, v in record.items() if k != "method"}  # fmt: skip
        made: Calibration = _SCALINGS[record["method"]](**values)
        if not all(values.get(name, 1.0) > 0 for name in ("slope", "temperature")):
            raise ValueError("it would turn ranks around")
        if not np.isfinite(made(np.array([-1.0, 1.0]))).all():
            raise ValueError("it gives no probabilities")
    except (KeyError, TypeError, ValueError) as error:
        raise _misfit("the calibration", error) from None
    return made


assert _SCALINGS.keys() == CALIBRATIONS.keys()
