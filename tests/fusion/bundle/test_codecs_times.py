"""Every model of times that can be bundled predicts the same bytes after a trip through files."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.numpy
from times_features_example import CONFIG, HARD, HORIZONS, MODALITIES, times_table

from featurestore.errors import ConfigError, DataError
from fusion.arms import Arm
from fusion.bundle.codecs import CODECS, Codec, find_codec, load_model, save_model
from fusion.bundle.codecs_times import _linear, _linear_state
from fusion.features.table import FeatureTable
from fusion.models import own, register_model
from fusion.models.model_kind import ModelKind
from fusion.models.registry import make_model
from fusion.models.survival.registered import SURVIVAL_MODELS

KIND = "time_to_event"
GRID = np.array([0.0, *HORIZONS, 2000.0, 1e6])
Saved = tuple[str, dict[str, bytes], bytes]


@pytest.fixture(scope="module")
def hard() -> FeatureTable:
    """Ties, delayed entry and a competing event; several rows a patient."""
    return times_table(80, 5, HARD)[0]


def said(model: object, table: FeatureTable) -> bytes:
    found = model.predict(table, GRID)  # type: ignore[attr-defined]
    return bytes(found.score.tobytes() + found.risk.tobytes())


@pytest.fixture(scope="module", params=list(CODECS[KIND]))
def saved(request: pytest.FixtureRequest, hard: FeatureTable) -> Saved:
    """Name, files and predictions of each model."""
    arm = Arm("arm", request.param, MODALITIES)
    model = make_model(arm, CONFIG, kind=KIND).fit(hard, 0)
    return request.param, save_model(request.param, model, "m/0", KIND), said(model, hard)


def test_a_model_from_files_predicts_the_same_bytes(saved: Saved, hard: FeatureTable) -> None:
    name, files, expected = saved
    again = load_model(name, files, "m/0", KIND)
    assert said(again, hard) == expected
    assert save_model(name, again, "m/0", KIND) == files


def test_files_name_nobody_and_bad_ones_are_one_line(saved: Saved, hard: FeatureTable) -> None:
    name, files, _ = saved
    for patient in hard.patient_ids[:20]:
        assert all(str(patient).encode() not in data for data in files.values())
    broken = [{n: d for n, d in files.items() if n != gone} for gone in files]
    broken += [{**files, part: data[: len(data) // 2]} for part, data in files.items()]
    broken += [{**files, "m/0.json": text} for text in (b"{}", b"[]")]
    for bad in broken:
        with pytest.raises(DataError) as caught:
            load_model(name, bad, "m/0", KIND)
        assert "\n" not in str(caught.value)


def _falls(arrays: dict[str, np.ndarray]) -> None:
    arrays["scale.0.hazard"] = arrays["scale.0.hazard"][::-1]


def _shorter(arrays: dict[str, np.ndarray]) -> None:
    arrays["scale.0.time"] = arrays["scale.0.time"][:-1]


def _no_order(arrays: dict[str, np.ndarray]) -> None:
    arrays["0.ranks"] = arrays["0.ranks"][::-1]


def _no_intervals(arrays: dict[str, np.ndarray]) -> None:
    arrays["intervals"] = arrays["intervals"][::-1]


@pytest.mark.parametrize(
    ("name", "spoil", "why"),
    [
        ("cox_ridge", _falls, "a baseline hazard falls"),
        ("cox_ridge", _shorter, "a baseline hazard is none"),
        ("rank_average", _no_order, "ranks are not in order"),
        ("lightgbm_discrete", _no_intervals, "intervals do not ascend"),
    ],
)
def test_what_no_fit_gives_is_refused(
    name: str,
    spoil: Callable[[dict[str, np.ndarray]], None],
    why: str,
    hard: FeatureTable,
) -> None:
    model = make_model(Arm("arm", name, MODALITIES), CONFIG, kind=KIND).fit(hard, 0)
    files = save_model(name, model, "m", KIND)
    arrays = dict(safetensors.numpy.load(files["m.safetensors"]))
    spoil(arrays)
    kept = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    with pytest.raises(DataError, match=why):
        load_model(name, {**files, "m.safetensors": safetensors.numpy.save(kept)}, "m", KIND)
    turned = json.loads(files["m.json"])
    turned["risks"]["slope"] = -1.0
    with pytest.raises(DataError, match="have no scale"):
        load_model(name, {**files, "m.json": json.dumps(turned).encode()}, "m", KIND)


def test_the_scale_of_risks_travels_with_somebody_elses_codec(hard: FeatureTable) -> None:
    kind = ModelKind(
        "fusion.models.survival.cox:CoxRidge",
        ("metadata", "tuning"),
        outcome=KIND,
        codec=Codec(_linear_state, _linear),
    )
    register_model("mine", kind)
    try:
        model = make_model(Arm("arm", "mine", MODALITIES), CONFIG, kind=KIND).fit(hard, 0)
        again = load_model("mine", save_model("mine", model, "m", KIND), "m", KIND)
        assert said(again, hard) == said(model, hard)
        with pytest.raises(ConfigError, match="mine cannot be bundled"):
            find_codec("mine", "binary")
    finally:
        own._registered.clear()


def test_other_models_are_refused_with_the_reason() -> None:
    for name in set(SURVIVAL_MODELS) - set(CODECS[KIND]):
        with pytest.raises(ConfigError, match=f"{name} cannot be bundled"):
            find_codec(name, KIND)
    with pytest.raises(ConfigError, match="only pickle could store"):
        find_codec("random_survival_forest", KIND)
    with pytest.raises(ConfigError, match="the same of everybody"):
        find_codec("kaplan_meier", KIND)
