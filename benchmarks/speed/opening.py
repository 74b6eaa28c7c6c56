"""Opening a store: every byte verified, and what is present known."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from benchmarks.speed import made
from benchmarks.speed.figures import Figure, details, timed
from featurestore.store import FeatureStore

DIMENSION, MILLION, GOAL = 512, 1_000_000, 2.0


def measure(quick: bool) -> list[Figure]:
    """Row 9: by the row, carried to a million."""
    rows = 20_000 if quick else 200_000
    identity = made.encoder("net", DIMENSION)
    with tempfile.TemporaryDirectory() as folder:
        made.write_store(Path(folder), identity, rows)
        paths = FeatureStore(Path(folder)).shard_paths(identity)

        def hashing() -> None:
            for path in paths:
                hashlib.sha256(path.read_bytes()).digest()

        floor = timed(hashing)
        opening = timed(lambda: FeatureStore(Path(folder)).present(identity))
    carried = opening.wall * MILLION / rows
    what = f"opening {rows:,} x {DIMENSION} float16, carried to a million rows"
    found = details(floor, opening)
    baseline = "SHA-256 of the files alone"
    return [Figure(9, what, f"{GOAL:.0f} s", carried, "s", None, baseline, found)]
