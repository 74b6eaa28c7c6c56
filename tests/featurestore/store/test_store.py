"""The store returns what was appended, by content, and nothing else."""

from __future__ import annotations

import dataclasses
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
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.quarantine import QuarantineRow
from featurestore.store.store import FeatureStore
from featurestore.store.virtual import group_names


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")


def fill(store: FeatureStore, numbers: range, shard_rows: int = 4) -> None:
    with store.writer(identity(), shard_rows=shard_rows) as writer:
        writer.append(*batch(numbers))


def assert_rows_are_right(store: FeatureStore, numbers: range) -> None:
    rows = store.read(identity(), [digest(k) for k in numbers])
    np.testing.assert_array_equal(rows, np.stack([embedding(k) for k in numbers]))


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


def test_an_error_keeps_the_rows_of_earlier_batches(store: FeatureStore) -> None:
    def spoilt_after_three() -> None:
        sha256s, ids, values = batch(range(3, 5))
        with store.writer(identity()) as writer:
            writer.append(*batch(range(3)))
            writer.append(sha256s, ids, values * np.inf)

    with pytest.raises(StoreError, match="not finite"):
        spoilt_after_three()
    assert store.present(identity()) == {digest(k) for k in range(3)}


def test_the_callers_arrays_may_change_after_append(store: FeatureStore) -> None:
    sha256s, ids, values = batch(range(3))
    with store.writer(identity()) as writer:
        writer.append(sha256s, ids, values)
        values[:] = 0
        sha256s.clear()
    assert_rows_are_right(store, range(3))


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
        (lambda s, i, v: ([s[0] + "\n", *s[1:]], i, v), "not a SHA-256"),
        (lambda s, i, v: (s, ["a\0b", *i[1:]], v), r"not valid Unicode text: 'a\\x00b'"),
        (lambda s, i, v: (s, ["\udc80", *i[1:]], v), r"not valid Unicode text: '\\udc80'"),
        (lambda s, i, v: (s, i, v, 40_000), "view 40000: .* from 0 to 32767"),
        (lambda s, i, v: (s, i, v, -1), "view -1"),
    ],
)
def test_malformed_batches_are_refused(
    store: FeatureStore, change: Callable[..., tuple], said: str
) -> None:
    writer = store.writer(identity())
    with pytest.raises(StoreError, match=said), writer:
        writer.append(*change(*batch(range(3))))


@pytest.mark.parametrize("shard_rows", [0, -1, 10**7])
def test_shards_that_could_not_be_read_back_are_refused(
    store: FeatureStore, shard_rows: int
) -> None:
    with pytest.raises(StoreError, match=r"holds 1 to [\d,]+ rows"):
        store.writer(identity(), shard_rows=shard_rows)


def test_a_writer_refuses_the_folder_of_another_encoder(store: FeatureStore) -> None:
    path = store.folder(identity()) / "encoder.json"
    path.parent.mkdir(parents=True)
    path.write_text(identity(seed=1).to_json())
    with pytest.raises(StoreError, match="not this folder"):
        store.writer(identity())


def test_a_store_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FeatureStore(tmp_path / "file")
    assert store.missing(identity(), [digest(0)]) == [digest(0)]
    with pytest.raises(StoreError, match="cannot write"), store.writer(identity()):
        pass
    with pytest.raises(StoreError, match="cannot write"):
        store.quarantine([QuarantineRow("", "a", "b", "c")])


@pytest.mark.parametrize("part", ["encoders", "encoders/{}", "encoders/{}/shards"])
def test_links_inside_the_store_are_refused(store: FeatureStore, tmp_path: Path, part: str) -> None:
    fill(store, range(2))
    path = store.root / part.format(identity().digest)
    path.symlink_to(path.rename(tmp_path / "elsewhere"))
    for use in (store.present, store.writer, lambda e: store.read(e, [digest(0)])):
        with pytest.raises(StoreError, match="is a symbolic link"):
            use(identity())


def test_content_decides_and_not_the_name(store: FeatureStore) -> None:
    sha256s, _, values = batch(range(2))
    with store.writer(identity()) as writer:
        writer.append(sha256s, ["a", "b"], values)
    assert store.missing(identity(), sha256s) == []  # whatever the files are called now
    with store.writer(identity()) as writer:
        writer.append([digest(2)], ["a"], np.stack([embedding(2)]))  # `a` has changed
    assert_rows_are_right(store, range(3))


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


def test_virtual_file_converts_float16_and_leaves_out_what_is_damaged(
    store: FeatureStore,
) -> None:
    fill(store, range(4))
    with store.writer(identity(), dtype="float16") as writer:
        writer.append(*batch(range(4, 7)))
        writer.append(*batch(range(4, 7)))  # once more within the same shard
    with store.writer(identity()) as writer:
        writer.append(*batch(range(7, 9)))
    path = next(p for p, index in store.shards(identity()) if (digest(7), 0) in index.keys)
    path.write_bytes(path.read_bytes()[:-1])
    with h5py.File(store.refresh_virtual(), "r") as file:
        sha256s = [s.decode() for s in file["resnet18/sha256"][:]]
        values = file["resnet18/embedding"][:]
    assert sorted(sha256s) == sorted(digest(k) for k in range(7))
    np.testing.assert_array_equal(values, store.read(identity(), sha256s))


def test_virtual_file_shows_nan_where_a_shard_has_gone(store: FeatureStore) -> None:
    fill(store, range(8))
    path = store.refresh_virtual()
    store.shard_paths(identity())[0].unlink()
    with h5py.File(path, "r") as file:
        gone = np.isnan(file["resnet18/embedding"][:]).all(axis=1)
    assert gone.tolist() == [True] * 4 + [False] * 4


def test_virtual_file_of_an_encoder_with_many_patients_a_slash_and_no_rows(
    store: FeatureStore,
) -> None:
    patients = tuple(f"PATIENT_{k:012d}" for k in range(9_000))
    tuned = dataclasses.replace(identity(backbone="hub/net"), training_patients=patients)
    with store.writer(tuned):
        pass
    with h5py.File(store.refresh_virtual(), "r") as file:
        assert file["hub_net_ft/embedding"].shape == (0, DIMENSION)
        assert EncoderIdentity.from_json(file["hub_net_ft"].attrs["encoder"]) == tuned


def test_encoders_of_one_backbone_have_groups_of_their_own(store: FeatureStore) -> None:
    for seed in (0, 1):
        with store.writer(identity(seed)) as writer:
            writer.append(*batch(range(2)))
    with store.writer(identity(backbone="vgg16")) as writer:
        writer.append(*batch(range(1)))
    with h5py.File(store.refresh_virtual(), "r") as file:
        expected = {f"resnet18@{identity(s).short}" for s in (0, 1)} | {"vgg16"}
        assert set(file) == expected


def test_names_of_groups_are_those_of_the_configuration() -> None:
    frozen = identity()
    tuned = dataclasses.replace(frozen, training_patients=("p",), fold="0/1")
    views = dataclasses.replace(tuned, preprocessing='{"views":{"size":64}}')
    imported = dataclasses.replace(
        frozen, backbone="uni", training_patients=("p",), trained_on="listed"
    )
    every = [frozen, tuned, views, imported, dataclasses.replace(tuned, fold="")]
    names = ["resnet18", "resnet18_ft_r0f1", "resnet18_ft_r0f1_views", "uni", "resnet18_ft"]
    assert group_names(every) == names
    other = identity(1)
    assert group_names([frozen, other, tuned]) == [
        f"resnet18@{frozen.short}",
        f"resnet18@{other.short}",
        "resnet18_ft_r0f1",
    ]


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
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4))
def test_quarantine_keeps_any_text(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]]
) -> None:
    root = tmp_path_factory.mktemp("store")
    rows = [QuarantineRow(digest(k), *text) for k, text in enumerate(texts)]
    for row in rows:
        FeatureStore(root).quarantine([row])
    found = {r.sha256: r for r in FeatureStore(root).quarantined().itertuples()}
    assert len(found) == len(rows)
    for row in rows:
        if all(c.isprintable() or c in "\r\n\t" for c in row.image_id + row.path + row.reason):
            there = found[row.sha256]
            assert (there.image_id, there.path, there.reason) == (
                row.image_id,
                row.path,
                row.reason,
            )


def test_quarantine_takes_file_names_that_are_no_text(store: FeatureStore) -> None:
    store.quarantine([QuarantineRow("", "a", "caf\udce9.jpg", "not an \0 image")])
    (row,) = store.quarantined().itertuples()
    assert (row.path, row.reason) == ("caf\\udce9.jpg", "not an \\x00 image")


def test_quarantine_forgets_what_was_embedded_after_all(store: FeatureStore) -> None:
    store.clear_quarantine([digest(1)])
    assert not store.root.exists()
    store.quarantine([QuarantineRow(digest(k), str(k), "p", "r") for k in range(3)])
    store.quarantine([QuarantineRow("", "3", "p", "no such file")])
    store.clear_quarantine([digest(1), ""])
    assert store.quarantined()["image_id"].tolist() == ["0", "2", "3"]


def test_a_rubbish_quarantine_is_one_line(store: FeatureStore) -> None:
    store.root.mkdir()
    for rubbish in (b"a,b\n1,2\n", b"\xff\xfe\x00", b'"'):
        (store.root / "quarantine.csv").write_bytes(rubbish)
        with pytest.raises(StoreError, match="delete it"):
            store.quarantined()


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
