"""Remembers which images are copies of each other, by the set of their digests.

Looking for copies grows faster than the number of images; the same images have the same copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.images.duplicates import cluster_duplicates
from featurestore.sealed import read_sealed_table, write_sealed_table

COPIES_VERSION = 1
"""To be raised when other images are taken for copies."""


def known_or_found_copies(
    sha256s: Sequence[str], hashes: np.ndarray, thumbnails: np.ndarray, folder: Path
) -> list[str]:
    """Cluster id of each image; see `cluster_duplicates`.

    Args:
        sha256s: Digest of each file.
        hashes: Hashes of the 8 orientations. Shape (n, 8), uint64.
        thumbnails: Grey thumbnails. Shape (n, side, side), uint8.
        folder: Where clusters are remembered; a damaged file is made anew.
    """
    distinct = sorted(set(sha256s))
    key = hashlib.sha256("\n".join(distinct).encode()).hexdigest()[:16]
    path = folder / f"copies-{COPIES_VERSION}-{key}.parquet"
    try:
        table = read_sealed_table(path, "it is made again")
        known = dict(zip(table["sha256"], table["cluster"], strict=True))
        return [str(known[sha256]) for sha256 in sha256s]
    except (DataError, OSError, ValueError, KeyError, TypeError):
        found = cluster_duplicates(sha256s, hashes, thumbnails)
        by_digest = dict(zip(sha256s, found, strict=True))
        clusters = [by_digest[sha256] for sha256 in distinct]
        write_sealed_table(path, pd.DataFrame({"sha256": distinct, "cluster": clusters}))
        return found
