"""A store says what it holds, what is damaged and why an image is or is not cached."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
from store_example import batch, digest, embedding, identity

from featurestore.atomic import replacing
from featurestore.errors import ConfigError, DataError, StoreError
from featurestore.store import maintenance
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.maintenance import (
    NO_ROW,
    UNREADABLE,
    Removed,
    explain,
    gc,
    info,
    pack,
    verify,
)
from featurestore.store.quarantine import QuarantineRow
from featurestore.store.store import FeatureStore


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


def test_verify_reads_a_store_named_by_a_relative_path(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.root.parent)
    relative = FeatureStore(Path(store.root.name))
    path = relative.shard_paths(identity())[0]
    data = bytearray(path.read_bytes())
    place = data.index(b"ISIC_")  # outside of what row checksums cover: no row is named
    data[place] ^= 1
    path.write_bytes(data)
    (found,) = verify(relative).damaged
    assert found.rows == NO_ROW


def test_repair_keeps_a_sound_shard_that_came_meanwhile(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.shard_paths(identity())[0]
    data = path.read_bytes()
    path.write_bytes(data[:-1])

    def rewritten_meanwhile(path: Path, timeout_s: float) -> tuple[str, ...]:
        path.write_bytes(data)
        return ("ISIC_0000001",)

    monkeypatch.setattr(maintenance, "_lost_rows", rewritten_meanwhile)
    assert len(verify(store, repair=True).damaged) == 1
    assert path.read_bytes() == data
    assert len(store.present(identity())) == 10


def test_verify_checks_the_virtual_file_and_repair_writes_it(store: FeatureStore) -> None:
    path = store.refresh_virtual()
    assert verify(store).damaged == ()
    sound = path.read_bytes()
    for damage in (sound[:-1], sound[:40] + bytes([sound[40] ^ 1]) + sound[41:], b""):
        path.write_bytes(damage)
        (found,) = verify(store).damaged
        assert found.path == path
        assert "damaged" in found.reason
        assert verify(store, repair=True).set_aside
        assert verify(store).damaged == ()
    path.unlink()
    assert verify(store).damaged == ()


def test_a_pack_overwrites_nothing(store: FeatureStore, tmp_path: Path) -> None:
    out = tmp_path / "thesis.docx"
    out.write_text("years of work")
    with pytest.raises(ConfigError, match="exists; remove it, or name another file"):
        pack(store, out)
    assert out.read_text() == "years of work"


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
    assert by_id.lines[1].endswith("not cached: not embedded yet")
    assert [e.cached for e in by_id.encoders] == [True, False]
    assert explain(store, digest(7)[:10]).sha256 == digest(7)
    file = tmp_path / "renamed.jpg"
    file.write_bytes(b"image 7")
    assert "cached, as image ISIC_0000007" in explain(store, str(file)).lines[0]
    changed = tmp_path / "ISIC_0000007.jpg"
    changed.write_bytes(b"other bytes")
    assert "its content was another" in explain(store, str(changed)).lines[0]
    refused = explain(store, "ISIC_0000077")
    assert "not cached: in quarantine (truncated)" in refused.lines[0]
    assert refused.lines[-1] == "quarantine: ISIC_0000077 (a.jpg): truncated"
    for nothing in ("ISIC_9", digest(7)[:7], "f" * 64, "..", "a\0b"):
        with pytest.raises(StoreError, match="never met"):
            explain(store, nothing)
    with pytest.raises(DataError, match="cannot be read"):
        explain(store, "x" * 5000)


def test_explain_finds_an_unread_file_in_quarantine_by_its_path(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.jpg").write_bytes(b"")
    store.quarantine([QuarantineRow("", "lesion 5", str(tmp_path / "b.jpg"), "empty file")])
    monkeypatch.chdir(tmp_path)
    assert "in quarantine (empty file)" in explain(store, "b.jpg").lines[0]
    assert explain(store, "lesion 5").sha256 == ""


def test_explain_of_a_member_goes_by_its_content_and_its_path(
    store: FeatureStore, tmp_path: Path
) -> None:
    member = f"{tmp_path}/a.zip::deep/ISIC_0000007.jpg"
    known = explain(store, member, digest(7))
    assert known.sha256 == digest(7)
    assert known.encoders[0].cached
    changed = explain(store, member, digest(500))
    assert "image ISIC_0000007 is, but its content was another" in changed.lines[0]
    store.quarantine([QuarantineRow("", "lesion 5", member, "encrypted")])
    assert "in quarantine (encrypted)" in explain(store, member, "").lines[0]


def test_explain_says_which_contents_go_by_one_id(store: FeatureStore) -> None:
    _, _, values = batch(range(1))
    with store.writer(identity()) as writer:
        writer.append([digest(500)], ["ISIC_0000007"], values)
    said = f"2 contents go by this.*{digest(7)[:12]}"
    with pytest.raises(StoreError, match=said):
        explain(store, "ISIC_0000007")


def test_explain_names_a_damaged_shard(store: FeatureStore) -> None:
    path = next(p for p, index in store.shards(identity()) if (digest(7), 0) in index.keys)
    data = bytearray(path.read_bytes())
    value = embedding(7)[:4].tobytes()
    data[data.index(value)] ^= 16
    path.write_bytes(data)
    said = f"not cached: its shard {path.name[:12]} is damaged; `melafuse extract` embeds it again"
    assert said in explain(FeatureStore(store.root), digest(7)).lines[0]


def test_explain_admits_what_a_damaged_shard_hides(store: FeatureStore) -> None:
    path = next(p for p, index in store.shards(identity()) if (digest(2), 0) in index.keys)
    path.write_bytes(b"")
    by_digest = explain(FeatureStore(store.root), digest(2))
    assert by_digest.lines[0].endswith("not embedded yet, or in one of 1 damaged shard")
    assert by_digest.encoders[1].cached


def test_pack_is_plain_and_equal(store: FeatureStore, tmp_path: Path) -> None:
    sha256s, ids, values = batch(range(3))
    with store.writer(identity(), dtype="float16") as writer:
        writer.append(sha256s, ids, -values, view=1)
    with h5py.File(pack(store, tmp_path / "out.h5"), "r") as file:
        group = file["resnet18"]
        assert not any(data.is_virtual for data in group.values())
        assert EncoderIdentity.from_json(group.attrs["encoder"]) == identity()
        views = group["view"][:]
        assert views.tolist().count(1) == 3
        for view in (0, 1):
            here = [s.decode() for s in group["sha256"][:][views == view]]
            expected = store.read(identity(), here, view=view)
            np.testing.assert_array_equal(group["embedding"][:][views == view], expected)
        assert len(set(group["image_id"].asstr()[:])) == 10
        assert file["vgg16/embedding"].shape == (4, 16)
    assert not (store.root / "features.h5").exists()  # packing leaves the store as it is


def test_pack_some_encoders(store: FeatureStore, tmp_path: Path) -> None:
    out = pack(store, tmp_path / "new" / "out.h5", encoders=[identity().short])
    with h5py.File(out, "r") as file:
        assert set(file) == {"resnet18"}
    with pytest.raises(StoreError, match="no encoder 'abc'"):
        pack(store, out, encoders=["abc"])
    with pytest.raises(StoreError, match="cannot write"):
        pack(store, Path("/proc/nowhere/out.h5"))


def test_a_damaged_shard_is_left_out_of_a_pack(store: FeatureStore, tmp_path: Path) -> None:
    path = store.shard_paths(identity())[1]
    path.write_bytes(path.read_bytes()[:-1])
    with h5py.File(pack(store, tmp_path / "out.h5"), "r") as file:
        assert file["resnet18/embedding"].shape == (5, 16)


def test_gc_removes_what_is_not_kept_and_dead_temporary_files(store: FeatureStore) -> None:
    folder = store.folder(identity()) / "shards"
    dead = folder / f".{'0' * 32}.part"
    dead.write_bytes(b"half a shard")
    with replacing(folder / "something") as alive:
        planned = gc(store, keep=[identity().short], dry_run=True)
        assert set(planned.paths) == {dead, store.folder(identity(backbone="vgg16"))}
        assert dead.exists()
        assert gc(store, keep=[identity().short]) == planned
        assert not dead.exists()
        assert alive.exists()
        alive.write_text("still written")
    assert (folder / "something").read_text() == "still written"
    assert [e.backbone for e in store.encoders()] == ["resnet18"]
    assert len(store.present(identity())) == 10
    with h5py.File(store.root / "features.h5", "r") as file:
        assert set(file) == {"resnet18"}
    assert gc(store) == Removed((), 0)
    for prefix in ("abc", ""):
        with pytest.raises(StoreError, match=f"no encoder '{prefix}'"):
            gc(store, keep=[prefix])


def test_gc_leaves_an_encoder_that_is_being_written(store: FeatureStore) -> None:
    vgg = identity(backbone="vgg16")
    with FeatureStore(store.root).writer(vgg) as writer:
        assert gc(store, keep=[identity().digest]).busy == (store.folder(vgg),)
        writer.append(*batch(range(4, 6)))
    assert len(store.present(vgg)) == 6
    assert gc(store, keep=[identity().digest]).busy == ()
    assert not store.folder(vgg).exists()


def test_gc_ends_what_a_killed_gc_began(store: FeatureStore) -> None:
    vgg = store.folder(identity(backbone="vgg16"))
    left = vgg.rename(vgg.with_name(f".{'0' * 32}.removed"))
    assert gc(store).paths == (left,)
    assert not left.exists()


def test_gc_removes_shards_whose_rows_are_elsewhere(store: FeatureStore) -> None:
    with store.writer(identity()) as writer:
        writer.append(*batch(range(10)))
    before = {p: p.stat().st_size for p in store.shard_paths(identity())}
    removed = gc(store)
    assert removed.bytes == sum(before[p] for p in removed.paths)
    assert 1 <= len(removed.paths) <= 2
    asked = [digest(k) for k in range(10)]
    rows = FeatureStore(store.root).read(identity(), asked)
    np.testing.assert_array_equal(rows, np.stack([embedding(k) for k in range(10)]))


def test_gc_follows_no_links(store: FeatureStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("precious")
    aside = store.folder(identity()) / "damaged"
    aside.symlink_to(outside)
    gc(store)
    assert not aside.is_symlink()
    assert (outside / "mine.txt").exists()
    (store.root / "encoders" / ("ab" * 32)).symlink_to(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        gc(store, keep=[identity().short])
    assert (outside / "mine.txt").exists()


def test_every_flipped_bit_of_a_description_is_found_and_repaired(store: FeatureStore) -> None:
    tuned = dataclasses.replace(identity(3), training_patients=("P1", "P2"), fold="0/1")
    with store.writer(tuned) as writer:
        writer.append(*batch(range(3)))
    path = store.folder(tuned) / "encoder.json"
    data = path.read_bytes()
    for position in range(0, len(data) - 1, 3):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(StoreError, match=r"`melafuse store verify --repair`"):
            store.encoders()
    (found,) = verify(store, repair=True).damaged
    assert found.path == path
    assert [f.path for f in verify(store).damaged] == [path]
    with store.writer(tuned):
        pass
    assert path.read_bytes() == data
    assert verify(store).damaged == ()
    assert len(store.present(tuned)) == 3
