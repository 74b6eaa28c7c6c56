"""An extraction into a store of its own, and the bytes that it left there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from extractor.config import BackboneConfig, ExtractConfig
from extractor.extract import ExtractionReport, extract
from featurestore.store.store import FeatureStore

MakePictures = Callable[[int], pd.DataFrame]
SmallConfig = Callable[..., ExtractConfig]
TableOf = Callable[[Sequence[Path]], pd.DataFrame]


def run(images: pd.DataFrame, root: Path, config: ExtractConfig) -> ExtractionReport:
    return extract(images, FeatureStore(root), config, seed=0, data_root=Path("/"))


def stored(report: ExtractionReport, root: Path, images: pd.DataFrame) -> dict[str, np.ndarray]:
    store = FeatureStore(root)
    sha256s = sorted(set(images["sha256"]))
    return {name: store.read(i, sha256s) for name, i in report.encoders.items()}


def assert_same_bytes(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def one_resnet(**changes: object) -> ExtractConfig:
    backbone = BackboneConfig(name="resnet18", weights="random", image_size=32)
    return ExtractConfig.model_validate({"backbones": (backbone,), "device": "cpu"} | changes)
