"""Models of times to an event, with the scale of their risks, to plain data and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np

from fusion.arms import Arm
from fusion.bundle.codec import FITTED, Codec, State
from fusion.bundle.trees_text import require_sound, without_tail
from fusion.features import Arrays, TabularEncoder, below
from fusion.metrics.survival import Baseline
from fusion.models.grid import LinearScore
from fusion.models.rank_average import RankScale
from fusion.models.survival import BaseSurvivalModel, RiskScale
from fusion.models.survival.cox import CoxRidge
from fusion.models.survival.fusion_head import DiscreteHead, SurvivalHead
from fusion.models.survival.intervals import Intervals
from fusion.models.survival.lightgbm import CoxLightGbm
from fusion.models.survival.lightgbm_discrete import DiscreteLightGbm
from fusion.models.survival.rank_average import SurvivalRankAverage

_OBJECTS = "scikit-survival keeps it as objects that only pickle could store"

TIMES_REFUSED = {
    "random_survival_forest": _OBJECTS,
    "gradient_boosting": _OBJECTS,
    "elastic_net": _OBJECTS,
    "kaplan_meier": "it says the same of everybody",
}
"""Why some models cannot be bundled."""

_NO_OBJECTIVE = None
"""LightGBM writes no line of an objective that was handed to it as a function."""


def scaled(own: Codec) -> Codec:
    """A codec of a model and of the scale of its risks."""

    def save(model: BaseSurvivalModel) -> State:
        found = own.to_state(model)
        record, arrays = scale_state(model.scale_)
        held = {f"scale.{name}": array for name, array in arrays.items()}
        return State({"model": found.record, "risks": record}, found.arrays | held, found.text)

    def load(state: State) -> BaseSurvivalModel:
        plain = State(state.record["model"], state.arrays, state.text)
        model: BaseSurvivalModel = own.from_state(plain)
        model.scale_ = load_scale(state.record["risks"], below("scale.", state.arrays))
        return model

    return Codec(save, load)


def scale_state(scale: RiskScale) -> tuple[dict[str, Any], Arrays]:
    """The scale of risks as a JSON record and arrays."""
    arrays: Arrays = {}
    for k, baseline in enumerate(scale.baselines):
        arrays |= {f"{k}.time": baseline.time, f"{k}.hazard": baseline.hazard}
    record = {
        "centre": scale.centre,
        "slope": scale.slope,
        "competing_slope": scale.competing_slope,
        "last": [baseline.last for baseline in scale.baselines],
    }
    return record, arrays


def load_scale(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> RiskScale:
    """Rebuilds a scale from `scale_state` output.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    baselines = tuple(
        _baseline(arrays[f"{k}.time"], arrays[f"{k}.hazard"], float(last))
        for k, last in enumerate(record["last"])
    )
    numbers = [float(record[name]) for name in ("centre", "slope", "competing_slope")]
    if not 1 <= len(baselines) <= 2 or not np.isfinite(numbers).all() or numbers[1] < 0:
        raise ValueError("its risks have no scale")
    centre, slope, competing_slope = numbers
    return RiskScale(centre, slope, competing_slope, baselines)


def _baseline(time: np.ndarray, hazard: np.ndarray, last: float) -> Baseline:
    if time.ndim != 1 or time.shape != hazard.shape or not np.isfinite(last):
        raise ValueError("a baseline hazard is none")
    if not len(time) or (np.diff(time) <= 0).any() or (np.diff(hazard, prepend=0.0) < 0).any():
        raise ValueError("a baseline hazard falls, or its times do")
    return Baseline(time, hazard, last)


def _head_state(model: SurvivalHead) -> State:
    return State(*model.to_state())


def _head(state: State) -> SurvivalHead:
    return SurvivalHead.from_state(state.record, state.arrays)


def _discrete_head(state: State) -> DiscreteHead:
    return DiscreteHead.from_state(state.record, state.arrays)


def _trees_state(model: CoxLightGbm) -> State:
    record, arrays = model.encoder_.to_state()
    whole = {"arm": dataclasses.asdict(model.arm), "encoder": record}
    return State(whole, arrays, without_tail(model.booster_.model_to_string()))


def _trees(state: State) -> CoxLightGbm:
    return _boosted(CoxLightGbm, state, 0, _NO_OBJECTIVE)


def _discrete_trees_state(model: DiscreteLightGbm) -> State:
    own = _trees_state(model)
    intervals = {"intervals": model.intervals_.ends, "start": model.start_}
    return dataclasses.replace(own, arrays=own.arrays | intervals)


def _discrete_trees(state: State) -> DiscreteLightGbm:
    model = _boosted(DiscreteLightGbm, state, 1)
    assert isinstance(model, DiscreteLightGbm)
    model.intervals_ = Intervals.of_ends(state.arrays["intervals"])
    model.start_ = state.arrays["start"]
    if model.start_.shape != model.intervals_.ends.shape:
        raise ValueError("the trees start with other intervals than their own")
    return model


def _boosted(
    kind: type[CoxLightGbm], state: State, more: int, objective: str | None = "binary sigmoid:1"
) -> CoxLightGbm:
    """Trees on the encoded inputs and so many more columns."""
    model = kind(Arm.from_record(state.record["arm"]), FITTED)
    model.encoder_ = TabularEncoder.from_state(state.record["encoder"], state.arrays)
    require_sound(state.text, len(model.encoder_.features_) + more, objective)
    model.booster_ = lightgbm.Booster(model_str=state.text)
    return model


def _linear_state(model: CoxRidge) -> State:
    record, arrays = model.encoder_.to_state()
    whole = {"arm": dataclasses.asdict(model.arm), "encoder": record}
    return State(whole, arrays | {"weights": model.scorer_.weights})


def _linear(state: State) -> CoxRidge:
    model = CoxRidge(Arm.from_record(state.record["arm"]), FITTED)
    model.encoder_ = TabularEncoder.from_state(state.record["encoder"], state.arrays)
    model.scorer_ = LinearScore(state.arrays["weights"], 0.0)
    if len(model.scorer_.weights) != len(model.encoder_.features_):
        raise ValueError("the weights were fitted on other inputs")
    return model


def _ranks_state(model: SurvivalRankAverage) -> State:
    singles = [_linear_state(single) for single in model.singles_]
    arrays: Arrays = {}
    for k, (single, scale) in enumerate(zip(singles, model.scales_, strict=True)):
        arrays |= {f"{k}.{name}": array for name, array in single.arrays.items()}
        arrays[f"{k}.ranks"] = scale.scores
    arm = dataclasses.asdict(model.arm)
    return State({"arm": arm, "singles": [single.record for single in singles]}, arrays)


def _ranks(state: State) -> SurvivalRankAverage:
    model = SurvivalRankAverage(Arm.from_record(state.record["arm"]), FITTED)
    arrays = [below(f"{k}.", state.arrays) for k in range(len(state.record["singles"]))]
    model.singles_ = [
        _linear(State(record, own))
        for record, own in zip(state.record["singles"], arrays, strict=True)
    ]
    model.scales_ = [RankScale(own["ranks"]) for own in arrays]
    if not arrays or not all(len(own["ranks"]) for own in arrays):
        raise ValueError("it has no ranks")
    if any((np.diff(own["ranks"]) < 0).any() for own in arrays):
        raise ValueError("its ranks are not in order")
    return model


_HEAD = scaled(Codec(_head_state, _head))

TIMES_CODECS: dict[str, Codec] = {
    "fusion_head": _HEAD,
    "fusion_head_gated": _HEAD,
    "fusion_head_low_rank": _HEAD,
    "fusion_head_discrete": scaled(Codec(_head_state, _discrete_head)),
    "lightgbm": scaled(Codec(_trees_state, _trees)),
    "lightgbm_discrete": scaled(Codec(_discrete_trees_state, _discrete_trees)),
    "cox_ridge": scaled(Codec(_linear_state, _linear)),
    "rank_average": scaled(Codec(_ranks_state, _ranks)),
}
"""Models that can be bundled, by name."""
