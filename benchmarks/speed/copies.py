"""Near copies among many images: how the time grows with their number."""

from __future__ import annotations

import numpy as np

from benchmarks.speed.figures import Figure, timed
from featurestore.images.duplicates import N_ORIENTATIONS, near_pairs, orientation_hashes

SIDE = 32


def material(images: int, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnails of smooth noise, of which the last few are near copies of the first."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(images, 4, 4))
    fine = np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4))) + 0.1 * rng.normal(
        size=(images, SIDE, SIDE)
    )
    thumbnails = np.clip(128 + 40 * fine, 0, 255).astype(np.uint8)
    if copies:
        changed = thumbnails[:copies].astype(int) + rng.integers(-1, 2, (copies, SIDE, SIDE))
        thumbnails[-copies:] = np.clip(changed, 0, 255)
    hashes = np.stack([orientation_hashes(one) for one in thumbnails])
    assert hashes.shape == (images, N_ORIENTATIONS)
    return hashes, thumbnails


def measure(quick: bool) -> list[Figure]:
    """Row 11: time of twice as many images over that of half; 2 is linear, 4 is quadratic."""
    images = 2_000 if quick else 20_000
    hashes, thumbnails = material(images, 100)
    half = timed(lambda: near_pairs(hashes[: images // 2], thumbnails[: images // 2]))
    whole = timed(lambda: near_pairs(hashes, thumbnails))
    growth = whole.cpu / half.cpu
    found = {"half_wall_s": half.wall, "whole_wall_s": whole.wall, "whole_cpu_s": whole.cpu}
    what = f"near copies of {images:,} images over those of {images // 2:,}"
    return [Figure(11, what, "2.5x (linear)", growth, "x", growth <= 2.5, "half of them", found)]
