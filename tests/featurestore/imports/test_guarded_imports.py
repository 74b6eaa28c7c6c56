"""HDF5 files that hang or end their reader are refused; the others are imported."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from features_example import random_bags, write_trident

from featurestore import guard
from featurestore.errors import DataError
from featurestore.imports import READERS, EmbeddingConfig, import_embeddings
from featurestore.store import FeatureStore


def endless(path: Path) -> None:
    """A few kilobytes that claim a hundred billion tiles."""
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**11, 5), np.float32, chunks=(10, 5))
        file["coords"] = np.zeros((3, 2))


def test_a_file_that_is_never_read_to_its_end_is_refused_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 4.0)
    bags = random_bags(9)
    write_trident(tmp_path, bags)
    endless(tmp_path / "TCGA-ER-0000.h5")
    store = FeatureStore(tmp_path / "store")
    config = EmbeddingConfig(name="uni", path="*.h5")
    done = import_embeddings(config, store, tmp_path, READERS)
    assert set(done.rows.keys) == set(bags)
    assert [row.image_id for row in done.refused] == ["TCGA-ER-0000"]
    assert "not read within 4 s" in done.refused[0].reason
    # What was found of a file is not asked again.
    asked: list[Path] = []
    monkeypatch.setattr(
        "featurestore.imports.importing.unsound", lambda paths: asked.extend(paths) or {}
    )
    again = import_embeddings(config, store, tmp_path, READERS)
    assert (again.reused, again.refused, asked) == (4, done.refused, [])


def test_if_no_file_can_be_read_that_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 2.0)
    endless(tmp_path / "a.h5")
    config = EmbeddingConfig(name="uni", path="*.h5")
    with pytest.raises(DataError, match=r"no file of 1 can be read; the first, a\.h5: not read w"):
        import_embeddings(config, FeatureStore(tmp_path / "store"), tmp_path, READERS)
