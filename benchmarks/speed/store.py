"""Verified reading and durable writing, beside NumPy's own files, which verify nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.speed import made
from benchmarks.speed.figures import Figure, details, paired
from featurestore.store import FeatureStore

ROWS, DIMENSION = 33_126, 1280
READ_GOAL, WRITE_GOAL = 1.0, 0.4


def measure(quick: bool) -> list[Figure]:
    """Row 8, in both types."""
    rows = 4_096 if quick else ROWS
    return [f for dtype in ("float32", "float16") for f in _of_type(rows, dtype, quick)]  # type: ignore[arg-type]


def _of_type(rows: int, dtype: Literal["float32", "float16"], quick: bool) -> list[Figure]:
    identity, names = made.encoder("net", DIMENSION), made.digests(rows)
    values = np.random.default_rng(0).standard_normal((rows, DIMENSION)).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        store, plain = FeatureStore(Path(folder) / "store"), Path(folder) / "plain.npy"

        def save() -> None:
            with plain.open("wb") as file:
                np.save(file, values)
                file.flush()
                os.fsync(file.fileno())

        def write() -> None:
            with store.writer(identity, dtype=dtype) as writer:
                writer.append(names, names, values)

        wrote = paired(save, write, 1 if quick else 2)

        def load() -> np.ndarray:
            return np.load(plain).astype(np.float32)

        def read() -> np.ndarray:
            return store.read(identity, names)

        if not np.array_equal(load(), read()):
            raise AssertionError("the store gives other numbers than NumPy's file")
        took = paired(load, read, 3)
    size = f"{rows:,} x {DIMENSION:,} {dtype}"
    full = rows == ROWS
    figures = []
    for what, baseline, times, goal in (
        ("verified read", "numpy.load and a cast to float32", took, READ_GOAL),
        ("durable write", "numpy.save and fsync", wrote, WRITE_GOAL),
    ):
        found = details(*times)
        ratio = found["wall_ratio"]
        met = ratio >= goal if full else None
        figures.append(Figure(8, f"{what}, {size}", f"{goal}x", ratio, "x", met, baseline, found))
    return figures
