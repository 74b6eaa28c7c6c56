"""Copies are remembered for the very same images only, and never trusted when damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featurestore.images import known_copies
from featurestore.images.duplicates import cluster_duplicates, orientation_hashes
from featurestore.images.known_copies import known_or_found_copies


def pictures(n: int, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Digests, hashes and thumbnails; every picture stands twice, the second time turned."""
    rng = np.random.default_rng(seed)
    once = rng.integers(0, 256, (n, 4, 4)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    thumbnails = np.concatenate([once, np.rot90(once, axes=(1, 2))])
    digests = [f"{k:016x}" * 4 for k in range(2 * n)]
    return digests, np.stack([orientation_hashes(t) for t in thumbnails]), thumbnails


def test_what_is_remembered_is_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order of the images, and without looking again."""
    digests, hashes, thumbnails = pictures(20, 0)
    expected = cluster_duplicates(digests, hashes, thumbnails)
    assert len(set(expected)) == 20
    assert known_or_found_copies(digests, hashes, thumbnails, tmp_path) == expected
    monkeypatch.setattr(known_copies, "cluster_duplicates", None)  # a call would fail
    back = slice(None, None, -1)
    again = known_or_found_copies(digests[back], hashes[back], thumbnails[back], tmp_path)
    assert again == expected[back]


def test_another_set_of_images_is_looked_at(tmp_path: Path) -> None:
    """One image less is another set."""
    digests, hashes, thumbnails = pictures(6, 1)
    known_or_found_copies(digests, hashes, thumbnails, tmp_path)
    found = known_or_found_copies(digests[1:], hashes[1:], thumbnails[1:], tmp_path)
    assert found == cluster_duplicates(digests[1:], hashes[1:], thumbnails[1:])


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    """Cut off, overwritten, or with one byte flipped."""
    digests, hashes, thumbnails = pictures(6, 2)
    expected = known_or_found_copies(digests, hashes, thumbnails, tmp_path)
    (path,) = tmp_path.glob("copies-*.parquet")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(bytes(flipped) if damage is None else damage)
    assert known_or_found_copies(digests, hashes, thumbnails, tmp_path) == expected
    assert path.read_bytes() == whole
