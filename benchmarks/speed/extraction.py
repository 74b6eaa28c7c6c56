"""Embedding pictures with both backbones at 256 pixels, beside the naive way.

Both ways are those of `benchmarks.extract_throughput`, which has more engines and takes pictures of
one's own. Here the pictures are made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.extract_throughput import Kind, end_to_end, naive, ready
from benchmarks.speed.figures import Figure, details, paired
from extractor.backbones import load_backbone
from extractor.config import BackboneConfig
from extractor.engines import ENGINES, lacking
from extractor.stages import one_torch_thread
from featurestore.images.opening import digest_file

NAMES, SIZE = ("resnet18", "efficientnet_b0"), 256
EXACT = "float32"
"""Type in which every engine gives the numbers of PyTorch, but for rounding."""

CASES = (((1024, 768), 3.0, 1), ((2592, 1936), 6.0, 2))
"""Pixels of the pictures, goal and row of the table."""


def measure(quick: bool) -> list[Figure]:
    """Rows 1 and 2, with every engine that is installed."""
    return [figure for case in CASES for figure in _case(8 if quick else 96, *case)]


def _case(count: int, pixels: tuple[int, int], goal: float, row: int) -> list[Figure]:
    configs = tuple(BackboneConfig(name=n, weights="random", image_size=SIZE) for n in NAMES)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = pictures(folder, count, pixels)
        with one_torch_thread():
            backbones = [load_backbone(config, 0, folder) for config in configs]
        for engine in (name for name, one in ENGINES.items() if not lacking(one)):
            kind = Kind(engine, EXACT)
            encoders = ready(backbones, kind)
            base, took = paired(
                lambda: naive(images, backbones),
                lambda e=encoders, k=kind: end_to_end(images, e, configs, k, folder),  # type: ignore[misc]
                2,
            )
            found = details(base, took)
            ratio = found["wall_ratio"]
            what = f"{count} pictures of {pixels[0]} x {pixels[1]}, both backbones, {engine}"
            met = ratio >= goal if count >= 96 else None
            figures.append(
                Figure(row, what, f"{goal:.0f}x", ratio, "x", met, "the naive way", found)
            )
    return figures


def pictures(folder: Path, count: int, pixels: tuple[int, int]) -> pd.DataFrame:
    """Smooth noise as JPEG files, all different; their images table."""
    rng = np.random.default_rng(0)
    paths = []
    for k in range(count):
        coarse = rng.integers(0, 256, (pixels[1] // 16, pixels[0] // 16, 3), dtype=np.uint8)
        path = folder / f"{k}.jpg"
        Image.fromarray(coarse).resize(pixels).save(path, quality=90)
        paths.append(path)
    return pd.DataFrame(
        {
            "image_id": [path.stem for path in paths],
            "path": [str(path) for path in paths],
            "sha256": [digest_file(path)[1] for path in paths],
        }
    )
