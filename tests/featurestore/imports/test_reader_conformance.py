"""What every reader of features must do; a new one is finished when it passes.

A reader's files are written by the format's own conventions (`features_example`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from features_example import FORMS, random_bags

from extractor.torch_features import ALL_READERS
from featurestore.errors import DataError
from featurestore.imports import EmbeddingConfig, Reader, ReadOptions, UnreadableFeatures, base
from featurestore.imports.files import SUFFIXES, find_files, find_reader

BY_NAME: dict[str, Reader] = {reader.name: reader for reader in ALL_READERS}
NO_OPTIONS = ReadOptions()


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(folder: Path, form: str, dtype: str = "float32") -> tuple[Reader, dict, list[Path]]:
    name, write, tiles = FORMS[form]
    bags = random_bags(tiles, dtype=dtype)
    write(folder, bags)
    return BY_NAME[name], bags, sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES)


def test_every_reader_is_here() -> None:
    assert {name for name, _, _ in FORMS.values()} == set(BY_NAME)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_read_is_what_was_written_to_the_bit(tmp_path: Path, form: str, dtype: str) -> None:
    if form == "melafuse store pack" and dtype == "float64":
        pytest.skip("a store holds float32")
    reader, bags, paths = written(tmp_path, form, dtype)
    read = [bag for path in paths for bag in reader.bags(path, NO_OPTIONS)]
    assert sorted(bag.id for bag in read) == sorted(bags)
    for bag in read:
        matrix = np.concatenate([np.asarray(c, np.float64) for c in bag.chunks()])
        assert (bag.rows, bag.width) == matrix.shape == bags[bag.id].shape
        np.testing.assert_array_equal(matrix, bags[bag.id].astype(np.float64))


def test_it_is_recognised_by_its_shape(tmp_path: Path, form: str) -> None:
    reader, _, _ = written(tmp_path, form)
    config = EmbeddingConfig(name="x", path="*.*")
    assert find_reader(config, find_files(config, tmp_path), ALL_READERS).name == reader.name


def test_parts_are_small_and_the_same(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, bags, paths = written(tmp_path, form)
    monkeypatch.setattr(base, "CHUNK_BYTES", 3 * 5 * 4)
    for bag in (bag for path in paths for bag in reader.bags(path, NO_OPTIONS)):
        chunks = list(bag.chunks())
        assert all(1 <= len(chunk) <= 3 for chunk in chunks)
        np.testing.assert_array_equal(np.concatenate(chunks), bags[bag.id])


def test_rows_may_be_asked_for_in_any_order(tmp_path: Path, form: str) -> None:
    reader, bags, paths = written(tmp_path, form)
    read = [bag for path in paths for bag in reader.bags(path, NO_OPTIONS)]
    for bag in [*reversed(read), *read]:
        np.testing.assert_array_equal(np.concatenate(list(bag.chunks())), bags[bag.id])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_or_read_right(tmp_path: Path, form: str, share: float) -> None:
    """Never another error, and never other values."""
    reader, bags, paths = written(tmp_path, form)
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: int(share * len(whole))])
    refused = 0
    try:
        for bag in reader.bags(paths[0], NO_OPTIONS):
            try:
                matrix = np.concatenate(list(bag.chunks()))
            except UnreadableFeatures:
                refused += 1
                continue
            if bag.id in bags and reader.name != "csv":  # a shorter text is another table
                np.testing.assert_array_equal(matrix, bags[bag.id])
    except (UnreadableFeatures, DataError):
        refused += 1
    assert refused or reader.name == "csv" or share > 0.5


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\nrubbish", b"PK\x03\x04rubbish", b"PAR1"]
)
def test_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rubbish.h5"
    path.write_bytes(content)
    for reader in ALL_READERS:
        reader.recognises(path)  # never raises
        with pytest.raises((UnreadableFeatures, DataError)):
            list(reader.bags(path, NO_OPTIONS))
