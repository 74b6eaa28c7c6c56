"""Near copies among many images: how the time grows with their number."""

from __future__ import annotations

import numpy as np

from benchmarks.speed.figures import Figure, timed
from featurestore.images.duplicates import N_ORIENTATIONS, near_pairs, orientation_hashes

SIDE = 32
MANY, GOAL = 100_000, 2.5
_BLOCK = 10_000


def material(images: int, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnails of smooth noise, of which the last few are near copies of the first."""
    rng = np.random.default_rng(0)
    thumbnails = np.empty((images, SIDE, SIDE), dtype=np.uint8)
    for i in range(0, images, _BLOCK):
        part = thumbnails[i : i + _BLOCK]
        coarse = rng.normal(size=(len(part), 4, 4))
        fine = np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4)))
        part[:] = np.clip(128 + 40 * (fine + 0.1 * rng.normal(size=part.shape)), 0, 255)
    if copies:
        changed = thumbnails[:copies].astype(int) + rng.integers(-1, 2, (copies, SIDE, SIDE))
        thumbnails[-copies:] = np.clip(changed, 0, 255)
    hashes = np.stack([orientation_hashes(one) for one in thumbnails])
    assert hashes.shape == (images, N_ORIENTATIONS)
    return hashes, thumbnails


def measure(quick: bool) -> list[Figure]:
    """Row 11: time of twice as many images over that of half, 2 is linear; and of 100,000."""
    many, images = (4_000, 2_000) if quick else (MANY, 20_000)
    hashes, thumbnails = material(many, 100)

    def seconds(count: int, repeats: int = 3) -> float:
        return min(
            timed(lambda: near_pairs(hashes[:count], thumbnails[:count])).cpu
            for _ in range(repeats)
        )

    half, whole, all_of_them = seconds(images // 2), seconds(images), seconds(many, 1)
    growth = whole / half
    what = f"near copies of {images:,} images over those of {images // 2:,}"
    found = {"half_cpu_s": half, "whole_cpu_s": whole}
    per_image = {"us_an_image": 1e6 * all_of_them / many}
    return [
        Figure(11, what, f"{GOAL}x (linear)", growth, "x", growth <= GOAL, "half of them", found),
        Figure(
            11,
            f"near copies of {many:,} images",
            "linear in practice",
            all_of_them,
            "s",
            None,
            "",
            per_image,
        ),
    ]
