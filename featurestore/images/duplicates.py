"""Finds copies of images: byte for byte by SHA-256, near ones by perceptual hash.

The perceptual hash is pHash (Zauner 2010): the signs, against their median, of the 8×8 lowest
frequencies of the DCT of a 32×32 grey image. It hardly changes with recompression, resizing or
brightness but wholly with a turn or flip, so each image is compared with all 8 orientations of the
other. Dermoscopic images look alike at 8×8 (a dark blob in the middle): of the 2,150 labelled
ISIC-2017 images, 3,009 pairs are within 10 bits, and about 15 of them show the same lesion. So a
pair that is close by hash is confirmed by the correlation of the aligned thumbnails.

Not every pair is looked at. The correlation of two thumbnails bounds how far apart the sizes of
their low frequencies are in any orientation; a k-d tree of these finds all that can be copies.

Found on ISIC-2017 images with the rules below: all of 150 recompressed, halved, turned, flipped,
brightened or recoloured copies, 97 % of those cropped by 1 % on every side, half of those cropped
by 3 %, hardly any turned by a few degrees.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

THUMBNAIL_SIDE = 32
N_ORIENTATIONS = 8
# (greatest Hamming distance of 64, least correlation): a pair that meets one of them is a copy. Set
# by eye on ISIC-2017, where the 12 pairs found are all of one lesion; the first pair of different
# lesions has distance 12 and correlation 0.971.
COPY_RULES = ((12, 0.98), (6, 0.95))
_LOW = 8
_SIZES = 5  # more frequencies leave fewer pairs, but a k-d tree searches them more slowly
_BLOCK = 8192
_CHUNK = 16_384  # pairs whose thumbnails are compared at once


def orientation_hashes(thumbnail: np.ndarray) -> np.ndarray:
    """Perceptual hashes of the 8 orientations of an image.

    Turning an image permutes and negates its DCT coefficients, so one transform serves all.

    Args:
        thumbnail: Grey image. Shape (`THUMBNAIL_SIDE`, `THUMBNAIL_SIDE`).

    Returns:
        One hash an orientation, in the order of `oriented`. Shape (8,), uint64.
    """
    low = dctn(thumbnail.astype(np.float64), norm="ortho")[:_LOW, :_LOW]
    low[0, 0] = 0.0  # brightness
    odd = np.where(np.arange(_LOW) % 2, -1.0, 1.0)
    turned = [
        block
        for base in (low, low.T)
        for block in (base, base * odd, base * odd[:, None], base * odd * odd[:, None])
    ]
    bits = np.stack([(block > np.median(block)).ravel() for block in turned])
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def oriented(thumbnails: np.ndarray, orientation: int) -> np.ndarray:
    """Turns thumbnails (n, side, side) as the hash of this index assumes."""
    turned = thumbnails.swapaxes(1, 2) if orientation >= 4 else thumbnails
    if orientation % 2:
        turned = turned[:, :, ::-1]
    return turned[:, ::-1, :] if orientation % 4 >= 2 else turned


def near_pairs(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Pairs of images that show the same picture.

    Args:
        hashes: Hashes of the 8 orientations. Shape (n, 8), uint64.
        thumbnails: Grey thumbnails. Shape (n, side, side), uint8.

    Returns:
        Index pairs (m, 2), the first smaller than the second.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    farthest = max(distance for distance, _ in COPY_RULES)
    for first, second in _alike(thumbnails, min(least for _, least in COPY_RULES)):
        for orientation in range(N_ORIENTATIONS):
            distance = np.bitwise_count(hashes[first, 0] ^ hashes[second, orientation])
            close = np.flatnonzero(distance <= farthest)
            for k in range(0, len(close), _CHUNK):
                a, b = first[close[k : k + _CHUNK]], second[close[k : k + _CHUNK]]
                apart = distance[close[k : k + _CHUNK]]
                correlation = _correlation(thumbnails[a], oriented(thumbnails[b], orientation))
                same = np.zeros(len(a), dtype=bool)
                for max_distance, min_correlation in COPY_RULES:
                    same |= (apart <= max_distance) & (correlation >= min_correlation)
                found.append(np.column_stack([a[same], b[same]]))
    return np.unique(np.concatenate(found), axis=0)


def cluster_duplicates(
    sha256s: Sequence[str], hashes: np.ndarray, thumbnails: np.ndarray
) -> list[str]:
    """Gives copies of an image, exact or near, one cluster id.

    Args:
        sha256s: Digest of each file.
        hashes: Hashes of the 8 orientations. Shape (n, 8), uint64.
        thumbnails: Grey thumbnails. Shape (n, side, side), uint8.

    Returns:
        A cluster id for each image: the start of the smallest digest in it, whatever the order.
    """
    digests, first, inverse = np.unique(
        np.asarray(sha256s, dtype=str), return_index=True, return_inverse=True
    )
    pairs = near_pairs(hashes[first], thumbnails[first])
    n = len(digests)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    _, smallest = np.unique(component, return_index=True)  # digests are sorted
    return [cluster_id(str(digests[smallest[component[k]]])) for k in inverse]


def cluster_id(sha256: str) -> str:
    """Cluster id of an image that has this digest and no smaller copy."""
    return sha256[:16]


def _alike(
    thumbnails: np.ndarray, least_correlation: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of pairs, first < second, among them all that correlate so much in any orientation."""
    sizes = _frequency_sizes(thumbnails)
    # Two unit vectors of correlation r are sqrt(2 - 2 r) apart; a little more for rounding.
    reach = math.sqrt(2 - 2 * least_correlation) + 1e-3
    for i in range(0, len(sizes), _BLOCK):
        near = KDTree(sizes[i : i + _BLOCK]).sparse_distance_matrix(
            KDTree(sizes[i:]), reach, output_type="ndarray"
        )
        ordered = near[near["i"] < near["j"]]
        yield ordered["i"] + i, ordered["j"] + i


def _frequency_sizes(thumbnails: np.ndarray) -> np.ndarray:
    """What the low frequencies of normalised thumbnails are in all orientations alike.

    A turn or flip changes signs and swaps the axes of the DCT, so sizes are taken, and of the two
    that a swap exchanges their sum and the size of their difference, scaled to keep lengths. None
    of these steps moves two images further apart.

    Returns:
        Shape (n, `_SIZES`² - 1).
    """
    n = len(thumbnails)
    sizes = np.empty((n, _SIZES**2 - 1), dtype=np.float32)
    down, across = np.triu_indices(_SIZES, 1)
    for i in range(0, n, _BLOCK):
        grey = thumbnails[i : i + _BLOCK].astype(np.float32)
        grey -= grey.mean(axis=(1, 2), keepdims=True)
        length = np.sqrt((grey**2).sum(axis=(1, 2), keepdims=True))
        waves = np.abs(dctn(grey / np.maximum(length, 1e-9), axes=(1, 2), norm="ortho"))
        one, other = waves[:, down, across], waves[:, across, down]
        diagonal = np.diagonal(waves, axis1=1, axis2=2)[:, 1:_SIZES]
        swapped = np.sqrt(np.float32(0.5))
        sizes[i : i + _BLOCK] = np.concatenate(
            [diagonal, (one + other) * swapped, np.abs(one - other) * swapped], axis=1
        )
    return sizes


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of each pair of images; 1 for two equal flat ones."""
    a = first.reshape(len(first), -1).astype(np.float32)
    b = second.reshape(len(second), -1).astype(np.float32)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    flat = np.all(first == second, axis=(1, 2))
    return np.where(norm > 0, (a * b).sum(axis=1) / np.maximum(norm, 1e-9), flat)
