"""How far a card's embeddings are from those of a CPU in float32, and from themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu.material import NOT_MEASURED, Sizes, squares_of
from benchmarks.gpu.speed import encoders_of
from extractor.device import ComputePlan, plan_compute
from extractor.encoder import Encoder
from extractor.stages import one_torch_thread

GOAL = 0.999
"""Least cosine between a card's embedding of an image and the CPU's."""


def with_cpu(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """Cosine of every image with the CPU's embedding, by network; the least is what counts."""
    if plan.device.type == "cpu":
        return dict.fromkeys(sizes.backbones, NOT_MEASURED)
    squares = squares_of(sizes, sizes.pictures)
    found = {}
    with one_torch_thread():
        pairs = zip(encoders_of(sizes, plan), encoders_of(sizes, plan_compute("cpu")), strict=True)
        for card, cpu in pairs:
            values = cosines(card.embed(squares), cpu.embed(squares))
            found[card.name] = {
                "images": len(values),
                "minimum": float(values.min()),
                "median": float(np.median(values)),
                "goal": GOAL,
                "reached": bool(values.min() >= GOAL),
            }
    return found


def in_company(sizes: Sizes, plan: ComputePlan) -> dict[str, float]:
    """Greatest change of an embedding, relative to its length, if its batch is another.

    An image alone in a padded pass, and at another place of a full one, by network.
    """
    squares = squares_of(sizes, 8)
    with one_torch_thread():
        return {encoder.name: _change(encoder, squares) for encoder in encoders_of(sizes, plan)}


def _change(encoder: Encoder, squares: list[np.ndarray]) -> float:
    together = encoder.embed(squares)
    turned = encoder.embed(squares[::-1])[::-1]
    alone = np.concatenate([encoder.embed([square]) for square in squares])
    length = np.linalg.norm(together, axis=1)
    others = (np.linalg.norm(other - together, axis=1) / length for other in (turned, alone))
    return float(max(change.max() for change in others))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine between rows of two matrices (n, dimension); float64 (n,)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
