"""Files that would lead a reader astray: links, pickles, tables whose columns are no features."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from extractor.torch_features import TorchReader
from featurestore.errors import DataError
from featurestore.imports import READERS, ReadOptions, UnreadableFeatures
from featurestore.imports.npz import NpzReader
from featurestore.imports.wide import CsvReader

NO_OPTIONS = ReadOptions()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.mark), 0o700)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    bomb = np.array([Bomb(mark)], dtype=object)
    np.savez(tmp_path / "bomb.npz", features=np.ones((1, 3)), ids=bomb)
    torch.save({"features": torch.ones(1, 3), "x": Bomb(mark)}, tmp_path / "bomb.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(UnreadableFeatures, match="nothing is unpickled"):
        list(NpzReader().bags(tmp_path / "bomb.npz", NO_OPTIONS))
    for name in ("bomb.pt", "plain.pt"):
        with pytest.raises(UnreadableFeatures, match="no readable file of tensors"):
            list(TorchReader().bags(tmp_path / name, NO_OPTIONS))
    assert not mark.exists()


def test_links_out_of_a_file_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["features"] = np.ones((3, 2))
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["features"] = h5py.ExternalLink("secret.h5", "features")
        file["feats"] = h5py.ExternalLink("secret.h5", "features")
        file["coords"] = np.zeros((3, 2))
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "features", (3, 2))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("features", layout)
    for path in (tmp_path / "linked.h5", tmp_path / "virtual.h5"):
        for reader in READERS[:3]:
            with pytest.raises(UnreadableFeatures):
                list(reader.bags(path, NO_OPTIONS))


def table(folder: Path, text: str) -> Path:
    path = folder / "features.csv"
    path.write_text(text)
    return path


def test_columns_that_are_not_numbered_must_be_named(tmp_path: Path) -> None:
    path = table(tmp_path, "id,f0,f1,os_time\na,1,2,300\n")
    with pytest.raises(DataError, match=r"which columns are features\? .* the file has f0, f1, os"):
        list(CsvReader().bags(path, NO_OPTIONS))
    (bag,) = CsvReader().bags(path, ReadOptions(columns=("f*",)))
    np.testing.assert_array_equal(next(bag.chunks()), [[1, 2]])


def test_names_may_hold_what_patterns_hold(tmp_path: Path) -> None:
    path = table(tmp_path, "id,AREA [TUMOR]_FFPE,AREA [STROMA]_FFPE\na,1,2\n")
    (both,) = CsvReader().bags(path, ReadOptions(columns=("*_FFPE",)))
    (one,) = CsvReader().bags(path, ReadOptions(columns=("AREA [STROMA]_FFPE",)))
    assert (both.width, next(one.chunks()).tolist()) == (2, [[2]])


def test_a_column_of_words_is_no_feature(tmp_path: Path) -> None:
    path = table(tmp_path, "id,f0,f1\na,1,2\nb,NA,high\nc,3,\n")
    with pytest.raises(DataError, match=r"column 'f1' is no feature: it holds 'high'"):
        list(CsvReader().bags(path, NO_OPTIONS))


def test_missing_values_leave_out_rows_or_columns(tmp_path: Path) -> None:
    path = table(tmp_path, "id,f0,f1,f2\na,1,2,3\nb,NA,2,3\nc,1,2,\n")
    rows = list(CsvReader().bags(path, NO_OPTIONS))
    assert [np.isnan(next(bag.chunks())).any() for bag in rows] == [False, True, True]
    columns = list(CsvReader().bags(path, ReadOptions(incomplete="columns")))
    assert [(bag.width, bag.left_out) for bag in columns] == [(1, ("f0", "f2"))] * 3


def test_options_that_name_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, "case,f0,f1\na,1,2\n")
    for options, said in (
        (ReadOptions(), r"which column has the ids"),
        (ReadOptions(id="slide"), r"no column 'slide'; the file has case, f0"),
        (ReadOptions(id="case", columns=("g*",)), r"no column is like 'g\*'"),
        (ReadOptions(id="case", patient="who"), r"no column 'who'"),
    ):
        with pytest.raises(DataError, match=said):
            list(CsvReader().bags(path, options))
