"""A tiny encoder and rows whose values follow from their digest."""

from __future__ import annotations

import hashlib

import numpy as np

from featurestore.lineage import EncoderIdentity

DIMENSION = 16


def identity(seed: int = 0, backbone: str = "resnet18") -> EncoderIdentity:
    return EncoderIdentity(
        backbone=backbone,
        weights=f"random(seed={seed})",
        weights_sha256=hashlib.sha256(str(seed).encode()).hexdigest(),
        preprocessing="{}",
        pooling="avg",
        dimension=DIMENSION,
    )


def digest(k: int) -> str:
    return hashlib.sha256(f"image {k}".encode()).hexdigest()


def embedding(k: int) -> np.ndarray:
    return np.random.default_rng(k).normal(size=DIMENSION).astype(np.float32)


def batch(numbers: range) -> tuple[list[str], list[str], np.ndarray]:
    return (
        [digest(k) for k in numbers],
        [f"ISIC_{k:07d}" for k in numbers],
        np.stack([embedding(k) for k in numbers]),
    )
