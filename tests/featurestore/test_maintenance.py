"""A store says what it holds, what is damaged and why an image is or is not cached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from store_example import batch, digest, embedding, identity

from featurestore.errors import StoreError
from featurestore.maintenance import UNREADABLE, explain, gc, info, pack, verify
from featurestore.quarantine import QuarantineRow
from featurestore.store import FeatureStore


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore(tmp_path / "store")
    with store.writer(identity(), shard_rows=5) as writer:
        writer.append(*batch(range(10)))
    with store.writer(identity(backbone="vgg16")) as writer:
        writer.append(*batch(range(4)))
    store.quarantine([QuarantineRow(digest(77), "ISIC_0000077", "a.jpg", "truncated")])
    return store


def test_info(store: FeatureStore) -> None:
    found = info(store)
    assert [(e.identity.backbone, e.images, e.shards) for e in found.encoders] == [
        ("resnet18", 10, 2),
        ("vgg16", 4, 1),
    ]
    assert (found.quarantined, found.temporary_files) == (1, 0)
    with pytest.raises(StoreError, match="no feature store here"):
        info(FeatureStore(store.root / "elsewhere"))


def test_verify_names_damaged_rows_and_repair_makes_room(store: FeatureStore) -> None:
    assert verify(store).damaged == ()
    path = store.shard_paths(identity())[0]
    value = store.read(identity(), sorted(store.present(identity())))[0, :4].tobytes()
    shards = {p: p.read_bytes() for p in store.shard_paths(identity())}
    path = next(p for p, data in shards.items() if value in data)
    data = bytearray(shards[path])
    data[data.index(value)] ^= 1
    path.write_bytes(data)
    (found,) = verify(store).damaged
    assert found.path == path
    assert len(found.rows) == 1
    assert found.rows[0].startswith("ISIC_")
    assert len(verify(store, repair=True).damaged) == 1
    assert verify(store).damaged == ()
    assert len(store.missing(identity(), [digest(k) for k in range(10)])) == 5
    with h5py.File(store.root / "features.h5", "r") as file:
        assert file["resnet18/embedding"].shape == (5, 16)


def test_verify_survives_rubbish(store: FeatureStore) -> None:
    path = store.shard_paths(identity())[0]
    path.write_bytes(path.read_bytes()[:300])
    (found,) = verify(store).damaged
    assert found.rows == (UNREADABLE,)


def test_verify_does_not_wait_for_a_reader_that_hangs(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.shard_paths(identity())[0]
    path.write_bytes(path.read_bytes()[:-1])
    (found,) = verify(store, timeout_s=0.001).damaged
    assert found.rows == (f"{UNREADABLE} within 0.001 s",)


def test_explain(store: FeatureStore, tmp_path: Path) -> None:
    by_id = explain(store, "ISIC_0000007")
    assert by_id.sha256 == digest(7)
    assert "cached, as image ISIC_0000007" in by_id.lines[0]
    assert "vgg16" in by_id.lines[1]
    assert "not cached; it has not been embedded" in by_id.lines[1]
    assert explain(store, digest(7)[:10]).sha256 == digest(7)
    file = tmp_path / "renamed.jpg"
    file.write_bytes(b"image 7")
    assert "cached, as image ISIC_0000007" in explain(store, str(file)).lines[0]
    changed = tmp_path / "ISIC_0000007.jpg"
    changed.write_bytes(b"other bytes")
    assert "its content was another" in explain(store, str(changed)).lines[0]
    assert explain(store, "ISIC_0000077").lines[-1].endswith("truncated")
    with pytest.raises(StoreError, match="never met"):
        explain(store, "ISIC_9")


def test_pack_is_plain_and_equal(store: FeatureStore, tmp_path: Path) -> None:
    with h5py.File(pack(store, tmp_path / "out.h5"), "r") as file:
        data = file["resnet18/embedding"]
        assert not data.is_virtual
        for sha256, row in zip(file["resnet18/sha256"][:], data[:], strict=True):
            number = next(k for k in range(10) if digest(k) == sha256.decode())
            np.testing.assert_array_equal(row, embedding(number))
    with pytest.raises(StoreError, match="cannot write"):
        pack(store, Path("/proc/nowhere/out.h5"))


def test_gc_removes_what_is_not_kept_and_dead_temporary_files(store: FeatureStore) -> None:
    folder = store.folder(identity()) / "shards"
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    dead = folder / f".{'0' * 32}.{child.stdout.strip()}.part"
    alive = folder / f".{'1' * 32}.{os.getpid()}.part"
    dead.write_bytes(b"half a shard")
    alive.write_bytes(b"being written")
    planned = gc(store, keep=[identity().short], dry_run=True)
    assert set(planned.paths) == {dead, store.folder(identity(backbone="vgg16"))}
    assert dead.exists()
    assert gc(store, keep=[identity().short]) == planned
    assert not dead.exists()
    assert alive.exists()
    assert [e.backbone for e in store.encoders()] == ["resnet18"]
    with pytest.raises(StoreError, match="no encoder 'abc'"):
        gc(store, keep=["abc"])
