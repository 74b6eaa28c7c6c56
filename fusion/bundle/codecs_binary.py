"""Models of binary outcomes, and their calibrations, to plain data and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np

from fusion.arms import Arm
from fusion.bundle.codec import FITTED, Codec, State, misfit
from fusion.bundle.trees_text import require_sound, without_tail
from fusion.features import TabularEncoder
from fusion.models import (
    CALIBRATIONS,
    Calibration,
    IsotonicScaling,
    Model,
    PlattScaling,
    TemperatureScaling,
    Uncalibrated,
)
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.grid import GridModel, LinearScore
from fusion.models.lightgbm import LightGbmModel


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


BINARY_CODECS: dict[str, Codec] = {
    "fusion_head": Codec(_head_state, _head),
    "fusion_head_gated": Codec(_head_state, _head),
    "fusion_head_low_rank": Codec(_head_state, _head),
    "lightgbm": Codec(_trees_state, _trees),
    "logistic_regression": Codec(_linear_state, _linear),
}
"""Models that can be bundled, by name."""

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
        raise misfit("the calibration", error) from None
    return made


assert _SCALINGS.keys() == CALIBRATIONS.keys()
