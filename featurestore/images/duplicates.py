"""Finds copies of images: byte for byte by SHA-256, near ones by perceptual hash.

The perceptual hash is pHash (Zauner 2010): the signs, against their median, of the 8×8 lowest
frequencies of the DCT of a 32×32 grey image. It hardly changes with recompression, resizing or
brightness but wholly with a turn or flip, so each image is compared with all 8 orientations of the
other. Dermoscopic images look alike at 8×8 (a dark blob in the middle): of the 2,150 labelled
ISIC-2017 images, 3,009 pairs are within 10 bits, and about 15 of them show the same lesion. So a
pair that is close by hash is confirmed by the correlation of the aligned thumbnails.

Not every pair is looked at. What the low frequencies of two thumbnails have that no turn or flip
changes bounds their correlation in every orientation, and one product of matrices gives the bounds
of millions of pairs in a few milliseconds. No index was faster: in the thirty dimensions that
pictures have, a k-d tree visits nearly all of them (measured: ten times slower at any number).

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

THUMBNAIL_SIDE = 32
N_ORIENTATIONS = 8
# (greatest Hamming distance of 64, least correlation): a pair that meets one of them is a copy. Set
# by eye on ISIC-2017, where the 12 pairs found are all of one lesion; the first pair of different
# lesions has distance 12 and correlation 0.971.
COPY_RULES = ((12, 0.98), (6, 0.95))
_LOW = 8
_BOUNDING = 6  # frequencies an axis that bound correlations; more leave fewer pairs, but cost more
_ROUNDING = 1e-3  # what a bound may be too low by
_BLOCK = 512  # images compared at once; more leave the cache of the processor
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
    if len(thumbnails) == 0:
        return found[0]
    for first, second, bound in _alike(thumbnails):
        for orientation in range(N_ORIENTATIONS):
            distance = np.bitwise_count(hashes[first, 0] ^ hashes[second, orientation])
            possible = np.flatnonzero(_are_copies(distance, bound))
            for k in range(0, len(possible), _CHUNK):
                chunk = possible[k : k + _CHUNK]
                a, b = first[chunk], second[chunk]
                correlation = _correlation(thumbnails[a], oriented(thumbnails[b], orientation))
                same = _are_copies(distance[chunk], correlation)
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


def _are_copies(distance: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Whether pairs meet one of `COPY_RULES`."""
    same = np.zeros(len(distance), dtype=bool)
    for max_distance, min_correlation in COPY_RULES:
        same |= (distance <= max_distance) & (correlation >= min_correlation)
    return same


def _alike(thumbnails: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks of pairs, first < second, among them all whose correlation can meet a rule.

    Yields:
        The first and the second of each pair, and what no orientation's correlation is above.
    """
    units = _unturned(thumbnails)
    least = min(correlation for _, correlation in COPY_RULES) - _ROUNDING
    along = _along_widest(units)
    order = np.argsort(along)
    units, along = units[order], along[order]
    reach = math.sqrt(2 - 2 * least)  # how far apart two unit vectors with this product are
    for i in range(0, len(units), _BLOCK):
        rows = units[i : i + _BLOCK]
        end = np.searchsorted(along, along[i + len(rows) - 1] + reach, side="right")
        for j in range(i, end, _BLOCK):
            columns = units[j : min(j + _BLOCK, end)]
            bounds = (rows @ columns.T).ravel()
            pairs = np.flatnonzero(bounds >= least)
            one, other = np.divmod(pairs, len(columns))
            once = one + i < other + j
            one, other = order[one[once] + i], order[other[once] + j]
            yield np.minimum(one, other), np.maximum(one, other), bounds[pairs[once]] + _ROUNDING


def _along_widest(units: np.ndarray) -> np.ndarray:
    """Places of vectors (n, d) on the line along which they differ most; shape (n,)."""
    centred = units - units.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return centred @ directions[:, -1]


def _unturned(thumbnails: np.ndarray) -> np.ndarray:
    """Unit vectors whose products are at least the correlations of thumbnails in any orientation.

    They are made of the low frequencies of the normalised thumbnail, by steps that no turn or flip
    changes and none of which moves two images further apart. A flip changes the signs of what is
    odd along its axis, so where one axis is odd and the other even, sizes are taken; a turn swaps
    axes, so of the two that it exchanges their sum is taken and the size of their difference, and
    where both axes are odd the size of the sum too. All other frequencies are one number, their
    length.

    Returns:
        Shape (n, `_BOUNDING`²), float32.
    """
    n = len(thumbnails)
    units = np.empty((n, _BOUNDING**2), dtype=np.float32)
    odd = np.arange(_BOUNDING) % 2 == 1
    down, across = np.triu_indices(_BOUNDING, 1)
    both_odd = odd[down] & odd[across]
    for i in range(0, n, _BLOCK):
        grey = thumbnails[i : i + _BLOCK].astype(np.float32)
        grey -= grey.mean(axis=(1, 2), keepdims=True)
        length = np.sqrt((grey**2).sum(axis=(1, 2), keepdims=True))
        waves = dctn(grey / np.maximum(length, 1e-9), axes=(1, 2), norm="ortho")
        low = waves[:, :_BOUNDING, :_BOUNDING]
        low = np.where(odd[:, None] != odd, np.abs(low), low)
        same = np.diagonal(low, axis1=1, axis2=2)[:, 1:]
        same = np.where(odd[1:], np.abs(same), same)
        halved = np.sqrt(np.float32(0.5))
        sums = (low[:, down, across] + low[:, across, down]) * halved
        sums = np.where(both_odd, np.abs(sums), sums)
        differences = np.abs(low[:, down, across] - low[:, across, down]) * halved
        kept = np.concatenate([same, sums, differences], axis=1)
        rest = 1 - (kept**2).sum(axis=1, keepdims=True)
        units[i : i + _BLOCK] = np.concatenate([kept, np.sqrt(np.maximum(rest, 0))], axis=1)
    return units


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of each pair of images; 1 for two equal flat ones."""
    a = first.reshape(len(first), -1).astype(np.float32)
    b = second.reshape(len(second), -1).astype(np.float32)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    flat = np.all(first == second, axis=(1, 2))
    return np.where(norm > 0, (a * b).sum(axis=1) / np.maximum(norm, 1e-9), flat)
