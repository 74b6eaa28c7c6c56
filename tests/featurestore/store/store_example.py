"""A tiny encoder and rows whose values follow from their digest."""

from __future__ import annotations

import hashlib

import numpy as np

from featurestore.store.lineage import EncoderIdentity
from featurestore.store.store import FeatureStore

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


NUMBERS = {digest(k): k for k in range(600)}


def assert_sound(store: FeatureStore) -> set[str]:
    """Every present row is exactly right; returns the digests present."""
    present = store.present(identity())
    ordered = sorted(present)
    matrix = store.read(identity(), ordered)
    for sha256, row in zip(ordered, matrix, strict=True):
        np.testing.assert_array_equal(row, embedding(NUMBERS[sha256]))
    return present
