from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from extractor.config import BackboneConfig, ExtractConfig
from extractor.stages import one_torch_thread


def _picture(seed: int, width: int = 96, height: int = 72) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def _table_of(paths: Sequence[Path]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [p.stem for p in paths],
            "path": [str(p) for p in paths],
            "sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths],
        }
    )


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    with one_torch_thread():
        yield


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """`picture(seed, width, height)`: structure at several scales that a resize keeps."""
    return _picture


@pytest.fixture
def table_of() -> Callable[[Sequence[Path]], pd.DataFrame]:
    """The images table of files as they are now."""
    return _table_of


@pytest.fixture
def make_pictures(tmp_path: Path) -> Callable[[int], pd.DataFrame]:
    """Writes n JPEG and PNG files of various sizes and returns their images table."""

    def make(n: int) -> pd.DataFrame:
        paths = []
        for i in range(n):
            path = tmp_path / f"picture_{i:03d}.{'png' if i % 3 == 0 else 'jpg'}"
            _picture(i, 80 + 7 * (i % 5), 60 + 11 * (i % 4)).save(path)
            paths.append(path)
        return _table_of(paths)

    return make


@pytest.fixture
def small_config() -> Callable[..., ExtractConfig]:
    """Both default backbones with random weights at 64 px, with changes on top."""

    def build(**changes: object) -> ExtractConfig:
        backbones = tuple(
            BackboneConfig(name=name, weights="random", image_size=64)
            for name in ("resnet18", "efficientnet_b0")
        )
        return ExtractConfig.model_validate({"backbones": backbones, "device": "cpu"} | changes)

    return build
