"""Embeddings in files: the same numbers as in memory, wherever they are asked for."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

import fusion.features.late as late_module
from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features import FeatureTable, PrincipalComponents, Standardizer, TabularEncoder
from fusion.features.late import LateEmbeddings, MatrixFile
from fusion.features.selecting import embeddings
from fusion.testing.tables import feature_table

MODALITIES = (Modality("images", embeddings=("net_a", "net_b")),)


def in_files(table: FeatureTable, folder: Path) -> FeatureTable:
    """The same table, with its embeddings in half precision in files."""
    files, present = {}, {}
    for name, matrix in table.embeddings.items():
        files[name] = MatrixFile(folder, matrix.shape, np.dtype(np.float16))
        files[name].writable()[:] = matrix
        present[name] = ~np.isnan(matrix).all(axis=1)
    late = LateEmbeddings(files, np.arange(len(table)), present)
    return dataclasses.replace(table, embeddings=late)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[FeatureTable, FeatureTable]:
    """A table in memory, of numbers that half precision has, and the same in files."""
    table = feature_table(60, dims=6)
    numbers = np.random.default_rng(1).normal(size=(len(table), 3))
    numbers[::5] = np.nan
    both = {"net_a": table.embeddings["net_a"], "net_b": numbers}
    halves = {name: m.astype(np.float16).astype(np.float32) for name, m in both.items()}
    memory = dataclasses.replace(table, embeddings=halves)
    return memory, in_files(memory, tmp_path)


def test_rows_are_those_of_a_matrix_in_memory(pair: tuple[FeatureTable, FeatureTable]) -> None:
    memory, late = pair
    rows = np.random.default_rng(0).permutation(len(memory))[:40]
    for chosen in (rows, memory.y == 1):
        for name, expected in memory.take(chosen).embeddings.items():
            found = late.take(chosen).embeddings[name]
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)
    names = ("net_a", "net_b")
    matrix = embeddings(late.take(rows).take(np.arange(5, 15)), names)
    np.testing.assert_array_equal(matrix[:], embeddings(memory.take(rows[5:15]), names))
    np.testing.assert_array_equal(
        embeddings(late, names).present,  # type: ignore[union-attr]
        ~np.isnan(embeddings(memory, names)[:]).all(axis=1),
    )


def test_nothing_is_read_until_numbers_are_asked_for(
    pair: tuple[FeatureTable, FeatureTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = pair[1]
    monkeypatch.setattr(MatrixFile, "read", lambda *_: pytest.fail("a file was read"))
    assert "net_a" in late.embeddings
    assert list(late.embeddings) == ["net_a", "net_b"]
    assert embeddings(late.take(np.arange(9)), ("net_a", "net_b")).shape == (9, 9)


def test_a_file_is_read_by_other_processes_and_goes_with_its_maker(
    pair: tuple[FeatureTable, FeatureTable], tmp_path: Path
) -> None:
    memory, late = pair
    copy = pickle.loads(pickle.dumps(late.embeddings))
    np.testing.assert_array_equal(copy["net_a"], memory.embeddings["net_a"])
    assert len(pickle.dumps(late.embeddings)) < 3000
    made = MatrixFile(tmp_path / "own", (2, 2), np.dtype(np.float16))
    other = pickle.loads(pickle.dumps(made))
    del other
    gc.collect()
    assert len(list((tmp_path / "own").glob("*.rows"))) == 1
    del made
    gc.collect()
    assert list((tmp_path / "own").glob("*.rows")) == []


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from fusion.features.late import MatrixFile

    made = MatrixFile(Path(sys.argv[1]), (2, 2), np.dtype(np.float16))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_file(tmp_path: Path) -> None:
    kept = MatrixFile(tmp_path, (2, 2), np.dtype(np.float16))
    kept.writable()[:] = 3
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.rows"))) == 2
    other = MatrixFile(tmp_path, (2, 2), np.dtype(np.float16))
    assert len(list(tmp_path.glob("*.rows"))) == 2
    assert kept.read(slice(None)).tolist() == [[3, 3], [3, 3]]
    assert other.read(slice(None)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("columns", [1, 7])
def test_parts_change_no_bit_of_the_moments(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(columns)
    matrix = rng.normal(3, 2, size=(500, columns)).astype(np.float32)
    matrix[rng.random(500) < 0.2] = np.nan
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    weights = rng.random(500)
    whole = Standardizer().fit(matrix, weights)
    present = ~np.isnan(matrix)
    for k in range(columns):
        own, share = matrix[present[:, k], k].astype(float), weights[present[:, k]]
        mean = np.average(own, weights=share)
        assert whole.mean_[k] == pytest.approx(mean, rel=1e-12)
        deviation = np.sqrt(np.average((own - mean) ** 2, weights=share))
        assert whole.scale_[k] == pytest.approx(deviation, rel=1e-12)
    monkeypatch.setattr(late_module, "PART_ROWS", 64)
    parts = Standardizer().fit(matrix, weights)
    np.testing.assert_allclose(parts.mean_, whole.mean_, rtol=1e-14)
    np.testing.assert_allclose(parts.scale_, whole.scale_, rtol=1e-14)
    if columns > 1:  # of one column NumPy adds pairs
        assert parts.mean_.tobytes() == whole.mean_.tobytes()
        assert parts.scale_.tobytes() == whole.scale_.tobytes()


def test_components_from_parts_are_those_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(300, 8)) * np.arange(1, 9)
    matrix[::10] = np.nan
    monkeypatch.setattr(late_module.parts_of, "__defaults__", (32,))
    fitted = PrincipalComponents(3).fit(matrix)
    rows = matrix[~np.isnan(matrix[:, 0])]
    expected = PCA(3).fit(rows)
    np.testing.assert_allclose(fitted.variance_, expected.explained_variance_, rtol=1e-10)
    scores = fitted.transform(matrix)
    assert np.isnan(scores[::10]).all()
    np.testing.assert_allclose(
        np.abs(scores[~np.isnan(scores[:, 0])]), np.abs(expected.transform(rows)), atol=1e-9
    )


def test_a_comparator_sees_the_same_matrix(pair: tuple[FeatureTable, FeatureTable]) -> None:
    encoded = []
    for table in pair:
        config = MetadataConfig(embedding_components=4)
        encoder = TabularEncoder(MODALITIES, config).fit(table.take(np.arange(40)))
        encoded.append(encoder.transform(table))
    assert encoded[0].tobytes() == encoded[1].tobytes()
