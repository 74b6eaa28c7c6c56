"""Embedding pictures with both backbones at 256 pixels, beside the naive way.

The naive way is one pass over the pictures a backbone: Pillow decodes the whole picture, a
`DataLoader` makes batches, PyTorch's layers run as they come. The pictures are made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.speed.figures import Figure, details, paired
from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.extract import embed_images
from extractor.stages import one_torch_thread
from featurestore.images.opening import digest_file
from featurestore.store import FeatureStore

NAMES, SIZE = ("resnet18", "efficientnet_b0"), 256
CASES = (((1024, 768), 3.0, 1), ((2592, 1936), 6.0, 2))
"""Pixels of the pictures, goal and row of the table."""


class Pictures(Dataset[torch.Tensor]):
    """Whole pictures, decoded and scaled by Pillow."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as picture:
            scaled = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(scaled)).permute(2, 0, 1).float() / 255


def naive(paths: list[Path], backbones: list[Backbone]) -> list[np.ndarray]:
    """One pass a backbone."""
    found = []
    for backbone in backbones:
        batches = DataLoader(Pictures(paths), batch_size=16, num_workers=2)
        with torch.inference_mode():
            network = backbone.module.eval()
            found.append(np.concatenate([network(x).numpy() for x in batches]))
    return found


def measure(quick: bool) -> list[Figure]:
    """Rows 1 and 2."""
    return [_case(8 if quick else 96, *case) for case in CASES]


def _case(count: int, pixels: tuple[int, int], goal: float, row: int) -> Figure:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = _pictures(folder, count, pixels)
        images = pd.DataFrame(
            {
                "image_id": [path.stem for path in paths],
                "path": [str(path) for path in paths],
                "sha256": [digest_file(path)[1] for path in paths],
            }
        )
        configs = tuple(BackboneConfig(name=n, weights="random", image_size=SIZE) for n in NAMES)
        config = ExtractConfig(backbones=configs)
        plan = plan_compute(config.device, config.batch_size)
        backbones = [load_backbone(c, 0, folder) for c in configs]
        with one_torch_thread():
            encoders = [Encoder(load_backbone(c, 0, folder), plan) for c in configs]
        stores = iter(range(100))

        def own() -> None:
            store = FeatureStore(folder / f"store{next(stores)}")
            embed_images(images, store, encoders, plan, config, folder)

        base, took = paired(lambda: naive(paths, backbones), own, 2)
    found = details(base, took)
    ratio = found["wall_ratio"]
    what = f"{count} pictures of {pixels[0]} x {pixels[1]}, both backbones"
    met = ratio >= goal if count >= 96 else None
    return Figure(row, what, f"{goal:.0f}x", ratio, "x", met, "the naive way", found)


def _pictures(folder: Path, count: int, pixels: tuple[int, int]) -> list[Path]:
    """Smooth noise as JPEG files, all different."""
    rng = np.random.default_rng(0)
    paths = []
    for k in range(count):
        coarse = rng.integers(0, 256, (pixels[1] // 16, pixels[0] // 16, 3), dtype=np.uint8)
        path = folder / f"{k}.jpg"
        Image.fromarray(coarse).resize(pixels).save(path, quality=90)
        paths.append(path)
    return paths
