"""`extract.engine: auto`: a store is gone on with as it was begun, or the run is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.continuing import continuing
from extractor.device import plan_compute
from extractor.extract import extract
from featurestore.errors import ConfigError
from featurestore.store import FeatureStore

pytest.importorskip("onnxruntime")

SMALL = BackboneConfig(name="test_resnet", weights="random", image_size=32)


@pytest.fixture(scope="module")
def network() -> Backbone:
    return load_backbone(SMALL, 0, Path())


def by(engine: str, images: pd.DataFrame, store: Path) -> tuple[str, int, int]:
    """Type, new and reused images of a run with an engine."""
    settings = {"backbones": (SMALL,), "device": "cpu", "engine": engine}
    config = ExtractConfig.model_validate(settings)
    report = extract(images, FeatureStore(store), config, 0, Path("/"))
    return report.encoders["test_resnet"].dtype, report.embedded, report.reused


def test_auto_goes_on_with_the_engine_that_a_store_was_begun_with(
    tmp_path: Path, make_pictures: Callable[[int], pd.DataFrame]
) -> None:
    images = make_pictures(3)
    assert by("auto", images, tmp_path / "new") == ("float32", 3, 0)
    begun = tmp_path / "begun"
    assert by("onnx", images[:2], begun) == ("float32, onnx", 2, 0)
    assert by("auto", images, begun) == ("float32, onnx", 1, 2)
    assert by("auto", images, begun) == ("float32, onnx", 0, 3)
    assert by("torch", images, begun) == ("float32", 3, 0)
    assert by("auto", images, begun) == ("float32", 0, 3)
    assert by("onnx", images, begun) == ("float32, onnx", 0, 3)


def test_what_cannot_go_on_is_one_line(
    tmp_path: Path,
    make_pictures: Callable[[int], pd.DataFrame],
    network: Backbone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by("onnx", make_pictures(1), tmp_path)
    store, plan = FeatureStore(tmp_path), plan_compute("cpu")
    assert continuing(plan, store, network).engine == "onnx"
    assert continuing(plan, store, network, ("p1",), "0/0").engine == "torch"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"by onnx, and onnxruntime.*'melafuse\[onnx\]', or") as e:
        continuing(plan, store, network)
    assert "\n" not in str(e.value)
    monkeypatch.undo()
    told = plan_compute("cpu", engine="torch")
    assert continuing(told, store, network) is told
