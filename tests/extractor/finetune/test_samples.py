from __future__ import annotations

import dataclasses
import gc
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from finetune_example import write_samples
from PIL import Image

from extractor.finetune.samples import ImageCache, TrainingSamples
from extractor.images import Geometry, decode
from extractor.reading import CHANGED
from featurestore.errors import DataError

SMALL, LARGE = Geometry(32), Geometry(48)


def expected(folder: Path, samples: TrainingSamples, geometry: Geometry) -> list[np.ndarray]:
    data = [(folder / path).read_bytes() for path in samples.paths]
    return [decode(d, [geometry], 10**6)[geometry] for d in data]


def assert_same(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_row_order_carries_no_meaning(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, 9, "t", 0)
    order = np.random.default_rng(1).permutation(9)
    shuffled = TrainingSamples(
        **{f.name: getattr(samples, f.name)[order] for f in dataclasses.fields(samples)}
    )
    for field in dataclasses.fields(samples):
        np.testing.assert_array_equal(
            getattr(shuffled.in_order(), field.name), getattr(samples, field.name)
        )
    assert shuffled.in_order().labels.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(3, np.float32)}, "columns differ in length"),
        ({"labels": np.array([0, 1, 2, 0], np.float32)}, "labels are 0 and 1"),
        ({"labels": np.array([0, 1, np.nan, 0], np.float32)}, "none may be missing"),
        ({"image_ids": np.array(["a", "b", "a", "c"], object)}, "images stand twice: a"),
    ],
)
def test_malformed_samples_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        dataclasses.replace(write_samples(tmp_path, 4, "t", 0), **changes)


def test_one_outcome_is_refused_with_the_part_and_the_counts(tmp_path: Path) -> None:
    samples = dataclasses.replace(write_samples(tmp_path, 4, "t", 0), labels=np.ones(4))
    with pytest.raises(DataError, match="the training part has 4 images, 4 of them events"):
        samples.require_both_outcomes("training")


@pytest.mark.parametrize("ram_bytes", [1 << 30, 0, 5 * 32 * 32 * 3])
def test_squares_are_those_of_the_files_in_memory_and_beyond(
    tmp_path: Path, ram_bytes: int
) -> None:
    samples = write_samples(tmp_path, 8, "t", 0)
    cache = ImageCache(tmp_path, tmp_path / "scratch", ram_bytes=ram_bytes)
    squares = cache.squares(samples, SMALL)
    assert_same(squares, expected(tmp_path, samples, SMALL))
    mapped = isinstance(squares[0], np.memmap)
    assert mapped == (ram_bytes < 8 * 32 * 32 * 3)
    with pytest.raises(ValueError, match="read-only"):
        squares[0][0, 0, 0] = 1
    # The file has no name, so that nothing is left of a process that is killed.
    assert list((tmp_path / "scratch").glob("*")) == []


def test_the_limit_counts_everything_that_is_kept(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, 4, "t", 0)
    cache = ImageCache(tmp_path, tmp_path / "s", ram_bytes=4 * 32 * 32 * 3)
    assert not isinstance(cache.squares(samples, SMALL)[0], np.memmap)
    assert isinstance(cache.squares(samples, LARGE)[0], np.memmap)


def test_every_content_is_decoded_once_a_geometry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = write_samples(tmp_path, 6, "t", 0)
    opened: list[str] = []
    read = Path.read_bytes

    def watched(self: Path) -> bytes:
        opened.append(self.name)
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", watched)
    cache = ImageCache(tmp_path, tmp_path / "s")
    part = TrainingSamples(
        **{f.name: getattr(samples, f.name)[:4] for f in dataclasses.fields(samples)}
    )
    first = cache.squares(part, SMALL)
    again = cache.squares(samples, SMALL)
    assert sorted(opened) == sorted(samples.paths)
    assert all(a is b for a, b in zip(first, again[:4], strict=True))
    cache.squares(samples, LARGE)
    assert len(opened) == 12


def test_equal_contents_share_a_square(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, 2, "t", 0)
    same = dataclasses.replace(
        samples,
        paths=np.repeat(samples.paths[:1], 2),
        sha256s=np.repeat(samples.sha256s[:1], 2),
    )
    first, second = ImageCache(tmp_path, tmp_path / "s").squares(same, SMALL)
    assert first is second


def test_the_map_outlives_the_cache(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, 3, "t", 0)
    squares = ImageCache(tmp_path, tmp_path / "s", ram_bytes=0).squares(samples, SMALL)
    gc.collect()
    assert_same(squares, expected(tmp_path, samples, SMALL))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(p.read_bytes() + b"\0"), CHANGED),
        (lambda p: Image.new("RGB", (48, 36)).save(p), CHANGED),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(
    tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    samples = write_samples(tmp_path, 3, "t", 0)
    spoil(tmp_path / "t_001.png")
    with pytest.raises(DataError, match=rf"image t_001 \(.*t_001\.png\): {reason}"):
        ImageCache(tmp_path, tmp_path / "s").squares(samples, SMALL)


def test_too_large_a_picture_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (1200, 1000)).save(tmp_path / "bomb.png")
    digest = hashlib.sha256((tmp_path / "bomb.png").read_bytes()).hexdigest()
    samples = TrainingSamples(
        *(np.array([v], object) for v in ("bomb", "p", "bomb.png", digest)),
        labels=np.ones(1, np.float32),
    )
    with pytest.raises(DataError, match="larger than 1 megapixels"):
        ImageCache(tmp_path, tmp_path / "s", max_megapixels=1.0).squares(samples, SMALL)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    samples = write_samples(tmp_path, 3, "t", 0)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(DataError, match=r"cannot keep 0\.0 GB of decoded .*No space left"):
        ImageCache(tmp_path, tmp_path / "s", ram_bytes=0).squares(samples, SMALL)
