"""Copies of a picture are found in every orientation; different pictures are not."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from featurestore.images.duplicates import (
    COPY_RULES,
    N_ORIENTATIONS,
    cluster_duplicates,
    near_pairs,
    orientation_hashes,
    oriented,
)
from featurestore.images.opening import inspect_image


def lesion(seed: int, side: int = 160) -> Image.Image:
    """A dark irregular blob in the middle of skin, as all dermoscopic images are."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    clouds = gaussian_filter(rng.standard_normal((side, side)), side / 14)
    clouds /= clouds.std()
    depth = 1 / (1 + np.exp((np.hypot(x * rng.uniform(0.8, 1.3), y) - 0.5 + 0.12 * clouds) * 12))
    grain = gaussian_filter(rng.standard_normal((side, side)), side / 40)
    grey = 210 - depth * (110 + 25 * grain / grain.std()) + 6 * clouds
    return Image.fromarray(
        np.dstack([grey, grey * 0.85, grey * 0.75]).clip(0, 255).astype(np.uint8)
    )


def facts_of(images: list[Image.Image], folder: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    digests, hashes, thumbnails = [], [], []
    for k, image in enumerate(images):
        path = folder / f"{k}.jpg"
        image.save(path, quality=70)
        facts = inspect_image(path, 10**8)
        assert facts.hashes is not None
        assert facts.thumbnail is not None
        digests.append(facts.sha256)
        hashes.append(facts.hashes)
        thumbnails.append(facts.thumbnail)
    return digests, np.stack(hashes), np.stack(thumbnails)


COPIES = {
    "half size": lambda im: im.resize((im.width // 2, im.height // 2)),
    "turned": lambda im: im.transpose(Image.Transpose.ROTATE_90),
    "turned back": lambda im: im.transpose(Image.Transpose.ROTATE_270),
    "upside down": lambda im: im.transpose(Image.Transpose.ROTATE_180),
    "mirrored": lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "flipped": lambda im: im.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "transposed": lambda im: im.transpose(Image.Transpose.TRANSPOSE),
    "transverse": lambda im: im.transpose(Image.Transpose.TRANSVERSE),
    "brighter": lambda im: ImageEnhance.Brightness(im).enhance(1.1),
    "recompressed": lambda im: recompressed(im, 35),
}


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


@pytest.mark.parametrize("name", list(COPIES))
def test_copies_are_found(tmp_path: Path, name: str) -> None:
    images = [lesion(seed) for seed in range(6)]
    facts = facts_of([*images, *(COPIES[name](im) for im in images)], tmp_path)
    clusters = cluster_duplicates(*facts)
    assert clusters[:6] == clusters[6:]
    assert len(set(clusters)) == 6


def test_different_lesions_are_not_chained(tmp_path: Path) -> None:
    facts = facts_of([lesion(seed) for seed in range(60)], tmp_path)
    assert len(set(cluster_duplicates(*facts))) == 60


def test_clusters_do_not_depend_on_order(tmp_path: Path) -> None:
    images = [lesion(0), lesion(1), COPIES["turned"](lesion(0)), lesion(2), lesion(2)]
    digests, hashes, thumbnails = facts_of(images, tmp_path)
    clusters = dict(zip(digests, cluster_duplicates(digests, hashes, thumbnails), strict=True))
    order = [3, 0, 4, 2, 1]
    shuffled = cluster_duplicates([digests[k] for k in order], hashes[order], thumbnails[order])
    assert shuffled == [clusters[digests[k]] for k in order]
    assert clusters[digests[0]] == min(digests[0], digests[2])[:16]


@pytest.mark.parametrize("orientation", range(8))
def test_hashes_of_orientations_are_those_of_turned_images(orientation: int) -> None:
    rng = np.random.default_rng(orientation)
    thumbnail = rng.integers(0, 256, (32, 32), dtype=np.uint8)
    low = dctn(oriented(thumbnail[None], orientation)[0].astype(float), norm="ortho")[:8, :8]
    low[0, 0] = 0
    bits = np.packbits((low > np.median(low)).ravel()).view(np.uint64)[0]
    assert orientation_hashes(thumbnail)[orientation] == bits


def test_pairs_equal_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images = [COPIES[name](lesion(seed % 3)) for seed, name in enumerate(COPIES)]
    _, hashes, thumbnails = facts_of(images, tmp_path)
    whole = near_pairs(hashes, thumbnails).tolist()
    monkeypatch.setattr("featurestore.images.duplicates._BLOCK", 3)
    monkeypatch.setattr("featurestore.images.duplicates._CHUNK", 2)
    assert near_pairs(hashes, thumbnails).tolist() == whole
    same = [[i, j] for i in range(len(images)) for j in range(i + 1, len(images)) if i % 3 == j % 3]
    assert whole == same


def test_flat_images_are_copies_only_of_their_own_shade() -> None:
    thumbnails = np.stack([np.full((32, 32), v, dtype=np.uint8) for v in (0, 255, 0)])
    hashes = np.stack([orientation_hashes(t) for t in thumbnails])
    assert near_pairs(hashes, thumbnails).tolist() == [[0, 2]]


def test_no_images() -> None:
    hashes, thumbnails = np.empty((0, 8), np.uint64), np.empty((0, 32, 32), np.uint8)
    assert cluster_duplicates([], hashes, thumbnails) == []


def plain_pairs(
    hashes: np.ndarray, thumbnails: np.ndarray, rules: tuple[tuple[int, float], ...]
) -> set[tuple[int, int]]:
    """All pairs, compared one by one in all orientations; the reference."""
    found = set()
    for i, j in itertools.combinations(range(len(thumbnails)), 2):
        for k in range(N_ORIENTATIONS):
            apart = int(hashes[i, 0] ^ hashes[j, k]).bit_count()
            if apart > max(most for most, _ in rules):
                continue
            turned = oriented(thumbnails[j : j + 1], k)[0].astype(float)
            alike = 1.0 if np.array_equal(thumbnails[i], turned) else 0.0
            if thumbnails[i].std() > 0 and turned.std() > 0:
                alike = np.corrcoef(thumbnails[i].ravel(), turned.ravel())[0, 1]
            if any(apart <= most and alike >= least for most, least in rules):
                found.add((i, j))
    return found


def test_no_pair_is_missed_by_looking_at_the_likely_ones_only() -> None:
    """Flat pictures are among them."""
    rng = np.random.default_rng(5)
    base = gaussian_filter(rng.standard_normal((20, 32, 32)), (0, 4, 4))
    base = 128 + 60 * base / base.std(axis=(1, 2), keepdims=True)
    noisy = [oriented(base, k % 8) + rng.normal(0, 3 * (k + 1), base.shape) for k in range(8)]
    flat = np.full((3, 32, 32), 77.0)
    thumbnails = np.concatenate([base, *noisy, flat]).clip(0, 255).astype(np.uint8)
    hashes = np.stack([orientation_hashes(t) for t in thumbnails])
    expected = plain_pairs(hashes, thumbnails, COPY_RULES)
    assert len(expected) > 20
    assert {tuple(pair) for pair in near_pairs(hashes, thumbnails).tolist()} == expected


@given(
    seed=st.integers(0, 2**32 - 1),
    smooth=st.floats(0, 8),
    contrast=st.floats(0, 80),
    noise=st.floats(0, 20),
    least=st.floats(0.2, 0.99),
)
@settings(max_examples=30, deadline=None)
def test_no_correlation_is_missed_whatever_the_hashes_say(
    seed: int, smooth: float, contrast: float, noise: float, least: float
) -> None:
    """Pictures of grain, of smooth shades and of hardly any contrast, turned and noisy."""
    rng = np.random.default_rng(seed)
    base = gaussian_filter(rng.standard_normal((2, 32, 32)), (0, smooth, smooth))
    base = 128 + contrast * base / base.std(axis=(1, 2), keepdims=True)
    turned = [
        oriented(base, int(k)) + rng.normal(0, noise, base.shape) for k in rng.integers(8, size=2)
    ]
    thumbnails = np.concatenate([base, *turned]).round().clip(0, 255).astype(np.uint8)
    hashes = np.stack([orientation_hashes(t) for t in thumbnails])
    rules = ((64, least),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featurestore.images.duplicates.COPY_RULES", rules)
        found = {tuple(pair) for pair in near_pairs(hashes, thumbnails).tolist()}
    # A correlation that equals the rule may be rounded to either side of it.
    assert plain_pairs(hashes, thumbnails, ((64, least + 1e-5),)) <= found
    assert found <= plain_pairs(hashes, thumbnails, ((64, least - 1e-5),))
