"""What is measured on: synthetic pictures, networks with random weights, and a clock that waits."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from extractor.config import BackboneConfig

NOT_MEASURED = "not measured"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        backbones: Names.
        image_size: Side of the networks' input in pixels.
        pictures: Files of each size, and images that agreement is taken over.
        files: Width and height of files by name.
        samples: Images that are trained on.
        batch_size: Of training.
        seconds: How long a rate is taken over.
    """

    backbones: tuple[str, ...]
    image_size: int
    pictures: int
    files: dict[str, tuple[int, int]]
    samples: int
    batch_size: int
    seconds: float


FULL = Sizes(
    backbones=("resnet18", "efficientnet_b0"),
    image_size=224,
    pictures=256,
    files={"256 px": (256, 256), "4.6 MP": (2592, 1792)},
    samples=2000,
    batch_size=32,
    seconds=4.0,
)
"""ISIC-2017 has 2,000 training images."""

SMALL = Sizes(
    backbones=("test_resnet", "test_efficientnet"),
    image_size=32,
    pictures=6,
    files={"256 px": (256, 256), "4.6 MP": (2592, 1792)},
    samples=16,
    batch_size=8,
    seconds=0.05,
)


def backbones_of(sizes: Sizes) -> tuple[BackboneConfig, ...]:
    """Networks with random weights, which cost the same as trained ones."""
    return tuple(
        BackboneConfig(name=name, weights="random", image_size=sizes.image_size)
        for name in sizes.backbones
    )


def write_pictures(folder: Path, n: int, size: tuple[int, int]) -> pd.DataFrame:
    """Writes JPEG files with structure at several scales and returns their images table.

    Large files share one picture; a comment makes each a content of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    fine = rng.integers(-12, 13, (size[1], size[0], 3))
    smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)).astype(int)
    picture = Image.fromarray(np.clip(smooth + fine, 0, 255).astype(np.uint8))
    few = [picture.rotate(90 * k, expand=True) for k in range(4)]
    rows = []
    for i in range(n):
        path = folder / f"{i:05d}.jpg"
        few[i % 4].save(path, quality=90, comment=f"{i}".encode())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append({"image_id": path.stem, "path": str(path.resolve()), "sha256": digest})
    return pd.DataFrame(rows)


def squares_of(sizes: Sizes, n: int) -> list[np.ndarray]:
    """Decoded squares (size, size, 3), all different: smooth fields and noise."""
    rng = np.random.default_rng(1)
    side = sizes.image_size
    made = []
    for _ in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
        made.append(np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8))
    return made


def wait(device: torch.device) -> None:
    """Waits until a CUDA device has done all that it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(run: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Mean time of a call, device included, after one call that warms up."""
    run()
    wait(device)
    calls, began = 0, time.perf_counter()
    while not calls or time.perf_counter() - began < seconds:
        run()
        wait(device)
        calls += 1
    return (time.perf_counter() - began) / calls
