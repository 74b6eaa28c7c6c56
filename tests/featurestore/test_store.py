"""The store returns what was appended, by content, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_example import DIMENSION, batch, digest, embedding, identity

from featurestore.errors import StoreError
from featurestore.quarantine import QuarantineRow
from featurestore.store import FeatureStore


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")


def fill(store: FeatureStore, numbers: range, shard_rows: int = 4) -> None:
    with store.writer(identity(), shard_rows=shard_rows) as writer:
        writer.append(*batch(numbers))


def test_rows_come_back_in_the_order_asked(store: FeatureStore) -> None:
    fill(store, range(10))
    asked = [7, 0, 3, 3, 9]
    matrix = store.read(identity(), [digest(k) for k in asked])
    np.testing.assert_array_equal(matrix, np.stack([embedding(k) for k in asked]))
    assert len(store.shard_paths(identity())) == 3


def test_what_is_missing_is_found_by_content(store: FeatureStore) -> None:
    fill(store, range(5))
    asked = [digest(k) for k in (6, 1, 5, 6)]
    assert store.missing(identity(), asked) == [digest(6), digest(5)]
    assert store.missing(identity(seed=1), [digest(1)]) == [digest(1)]
    with pytest.raises(StoreError, match=r"lacks 2 of 4 images.*run `melafuse extract`"):
        store.read(identity(), asked)


def test_views_are_kept_apart(store: FeatureStore) -> None:
    with store.writer(identity()) as writer:
        writer.append(*batch(range(2)))
        sha256s, ids, values = batch(range(2))
        writer.append(sha256s, ids, -values, view=1)
    np.testing.assert_array_equal(store.read(identity(), [digest(1)])[0], embedding(1))
    np.testing.assert_array_equal(store.read(identity(), [digest(1)], view=1)[0], -embedding(1))
    assert store.missing(identity(), [digest(0)], view=2) == [digest(0)]


def test_an_interrupted_writer_keeps_its_rows(store: FeatureStore) -> None:
    def interrupted() -> None:
        with store.writer(identity(), shard_rows=100) as writer:
            writer.append(*batch(range(3)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.present(identity()) == {digest(k) for k in range(3)}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(store: FeatureStore, value: float) -> None:
    sha256s, ids, values = batch(range(3))
    values[1, 2] = value
    writer = store.writer(identity())
    with pytest.raises(StoreError, match="not finite: ISIC_0000001;"), writer:
        writer.append(sha256s, ids, values)
    assert store.present(identity()) == set()


def test_float16_keeps_what_fits_and_refuses_the_rest(store: FeatureStore) -> None:
    sha256s, ids, values = batch(range(3))
    with store.writer(identity(), dtype="float16") as writer:
        writer.append(sha256s, ids, values)
    read = store.read(identity(), sha256s)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype(np.float16).astype(np.float32))
    values[2, 0] = 70_000.0
    writer = store.writer(identity(seed=1), dtype="float16")
    with pytest.raises(StoreError, match="do not fit float16: ISIC_0000002"), writer:
        writer.append(sha256s, ids, values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s, i, v: (s, i, v[:, :3]), r"shape \(3, 3\).*expected \(3, 16\)"),
        (lambda s, i, v: (s[:2], i, v), r"expected \(2, 16\)"),
        (lambda s, i, v: (["../x", *s[1:]], i, v), "not a SHA-256"),
        (lambda s, i, v: ([s[0].upper(), *s[1:]], i, v), "not a SHA-256"),
    ],
)
def test_malformed_batches_are_refused(
    store: FeatureStore, change: Callable[..., tuple], said: str
) -> None:
    writer = store.writer(identity())
    with pytest.raises(StoreError, match=said), writer:
        writer.append(*change(*batch(range(3))))


def test_an_edited_encoder_description_is_refused(store: FeatureStore) -> None:
    fill(store, range(2))
    path = store.folder(identity()) / "encoder.json"
    path.write_text(path.read_text().replace('"avg"', '"max"'))
    with pytest.raises(StoreError, match="edited after it was written"):
        store.encoders()
    path.write_text(identity(seed=1).to_json())
    with pytest.raises(StoreError, match="not this folder"):
        store.encoders()


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    stores = [FeatureStore(tmp_path / name) for name in ("a", "b")]
    for one in stores:
        fill(one, range(6))
    names = [[p.name for p in one.shard_paths(identity())] for one in stores]
    assert names[0] == names[1]


def test_virtual_file_shows_every_row_once_and_survives_a_move(
    store: FeatureStore, tmp_path: Path
) -> None:
    fill(store, range(6))
    fill(store, range(4, 9), shard_rows=3)
    store.refresh_virtual()
    shutil.move(store.root, tmp_path / "moved")
    with h5py.File(tmp_path / "moved" / "features.h5", "r") as file:
        group = file["resnet18"]
        sha256s = [s.decode() for s in group["sha256"][:]]
        values = group["embedding"][:]
        ids = list(group["image_id"].asstr()[:])
    assert values.shape == (9, DIMENSION)
    assert sorted(sha256s) == sorted(digest(k) for k in range(9))
    moved = FeatureStore(tmp_path / "moved")
    np.testing.assert_array_equal(values, moved.read(identity(), sha256s))
    assert {ids[k]: s for k, s in enumerate(sha256s)}["ISIC_0000007"] == digest(7)


def test_encoders_of_one_backbone_have_groups_of_their_own(store: FeatureStore) -> None:
    for seed in (0, 1):
        with store.writer(identity(seed)) as writer:
            writer.append(*batch(range(2)))
    with store.writer(identity(backbone="vgg16")) as writer:
        writer.append(*batch(range(1)))
    with h5py.File(store.refresh_virtual(), "r") as file:
        expected = {f"resnet18@{identity(s).short}" for s in (0, 1)} | {"vgg16"}
        assert set(file) == expected


def test_quarantine_keeps_the_last_reason(store: FeatureStore) -> None:
    assert len(store.quarantined()) == 0
    row = QuarantineRow(digest(1), "b", 'odd "name", with\ncomma.jpg', "truncated")
    store.quarantine([row, QuarantineRow("", "a", "=cmd()", "empty file")])
    store.quarantine([QuarantineRow(digest(1), "b", row.path, "not an image")])
    table = store.quarantined()
    assert table["image_id"].tolist() == ["a", "b"]
    assert table["reason"].tolist() == ["empty file", "not an image"]
    assert table["path"].tolist() == ["=cmd()", row.path]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    appends=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=9), max_size=6),
    shard_rows=st.integers(1, 8),
)
def test_any_sequence_of_appends_is_kept(
    tmp_path_factory: pytest.TempPathFactory, appends: list[list[int]], shard_rows: int
) -> None:
    store = FeatureStore(tmp_path_factory.mktemp("store"))
    for numbers in appends:
        with store.writer(identity(), shard_rows=shard_rows) as writer:
            writer.append(
                [digest(k) for k in numbers],
                [str(k) for k in numbers],
                np.stack([embedding(k) for k in numbers]),
            )
    seen = sorted({k for numbers in appends for k in numbers})
    assert store.present(identity()) == {digest(k) for k in seen}
    if seen:
        matrix = FeatureStore(store.root).read(identity(), [digest(k) for k in seen])
        np.testing.assert_array_equal(matrix, np.stack([embedding(k) for k in seen]))
