"""Every model that can be bundled predicts the same bytes after a trip through files."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from featurestore.errors import ConfigError, DataError
from fusion.arms import Arm, Modality
from fusion.bundle.codec import load_arrays
from fusion.bundle.codecs import CODECS, load_model, save_model
from fusion.bundle.codecs_binary import calibration_state, load_calibration
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.models.calibration import CALIBRATIONS, calibrate
from fusion.models.registry import make_model

CONFIG = AblationConfig.model_validate(
    {
        "tuning": {"trials": 2, "inner_folds": 2},
        "head": {"epochs": 2, "ensemble": 2, "projection": 4, "hidden": [4]},
        "metadata": {"expression_components": 3, "embedding_components": 4},
    }
)


@pytest.fixture(scope="module", params=list(CODECS["binary"]))
def saved(
    request: pytest.FixtureRequest, table: FeatureTable, modalities: tuple[Modality, ...]
) -> tuple[str, dict[str, bytes], np.ndarray]:
    """Kind, files and predictions of each model."""
    arm = Arm("arm", request.param, modalities)
    model = make_model(arm, CONFIG).fit(table, 0)
    return request.param, save_model(request.param, model, "m/0"), model.predict_proba(table)


def test_a_model_from_files_predicts_the_same_bytes(
    saved: tuple[str, dict[str, bytes], np.ndarray], table: FeatureTable
) -> None:
    kind, files, expected = saved
    again = load_model(kind, files, "m/0")
    assert again.predict_proba(table).tobytes() == expected.tobytes()
    assert save_model(kind, again, "m/0") == files


def test_files_hold_nothing_of_the_training_patients(
    saved: tuple[str, dict[str, bytes], np.ndarray], table: FeatureTable
) -> None:
    _, files, _ = saved
    for patient in table.patient_ids[:20]:
        assert all(str(patient).encode() not in data for data in files.values())


def test_files_that_do_not_fit_are_one_line(
    saved: tuple[str, dict[str, bytes], np.ndarray],
) -> None:
    kind, files, _ = saved
    record = json.loads(files["m/0.json"])
    broken = [{n: d for n, d in files.items() if n != gone} for gone in files]
    broken += [{**files, name: data[: len(data) // 2]} for name, data in files.items()]
    broken.append({**files, "m/0.json": b"{}"})
    broken.append({**files, "m/0.json": b"[]"})
    shrunk = json.loads(json.dumps(record).replace('"net_a"', '"net_b"'))
    assert shrunk != record
    for bad in broken:
        with pytest.raises(DataError) as caught:
            load_model(kind, bad, "m/0")
        assert "\n" not in str(caught.value)


def test_a_head_that_asks_for_any_amount_of_memory_is_refused(
    table: FeatureTable, modalities: tuple[Modality, ...]
) -> None:
    model = make_model(Arm("arm", "fusion_head", modalities), CONFIG).fit(table, 0)
    files = save_model("fusion_head", model, "m")
    record = json.loads(files["m.json"])
    record["head"]["hidden"] = [10**9, 10**9]
    with pytest.raises(DataError, match="none that was fitted"):
        load_model("fusion_head", {**files, "m.json": json.dumps(record).encode()}, "m")


@pytest.mark.parametrize("method", list(CALIBRATIONS))
def test_a_calibration_survives_json(
    method: str, make_table: Callable[..., FeatureTable], modalities: tuple[Modality, ...]
) -> None:
    model = make_model(Arm("arm", "logistic_regression", modalities), CONFIG).fit(make_table(), 0)
    fitted = calibrate(model.inner_, method).fitted
    again = load_calibration(json.loads(json.dumps(calibration_state(method, fitted))))
    scores = np.linspace(-9, 9, 101)
    assert again(scores).tobytes() == fitted(scores).tobytes()


@pytest.mark.parametrize(
    "record",
    [{}, {"method": "magic"}, {"method": "platt"}, {"method": "temperature", "temperature": 0.0},
     {"method": "isotonic", "scores": [], "probabilities": []}],
)  # fmt: skip
def test_a_calibration_that_is_none_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(DataError, match="the calibration"):
        load_calibration(record)


def test_other_models_cannot_be_bundled() -> None:
    with pytest.raises(
        ConfigError, match="random_forest cannot be bundled; these can: fusion_head"
    ):
        load_model("random_forest", {}, "m")
    with pytest.raises(DataError):
        load_arrays({"a": b"junk"}, "a")
