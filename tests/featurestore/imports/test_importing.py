"""Imports: what lands in the store, what is refused and how, what is taken up again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from features_example import FORMS, Bags, random_bags, write_csv, write_stamp_tiles, write_trident

from featurestore.errors import DataError
from featurestore.imports import READERS, EmbeddingConfig, Imported, import_embeddings
from featurestore.imports.record import read_record
from featurestore.store import FeatureStore
from featurestore.store.bags import bag_paths, write_bag
from featurestore.store.layout import IMPORT_RECORD
from featurestore.store.maintenance import explain, gc, pack, verify


def imported(folder: Path, store: FeatureStore | None = None, **options: Any) -> Imported:
    config = EmbeddingConfig(**{"name": "uni", "path": "*.h5", **options})
    return import_embeddings(config, store or FeatureStore(folder / "store"), folder, READERS)


def stored(folder: Path, done: Imported) -> dict[str, np.ndarray]:
    store = FeatureStore(folder / "store")
    matrix = store.read(done.identity, list(done.rows.keys.values()))
    return dict(zip(done.rows.keys, matrix, strict=True))


def test_tiles_are_pooled_by_the_mean(tmp_path: Path) -> None:
    bags = random_bags(9)
    write_trident(tmp_path, bags)
    done = imported(tmp_path)
    assert (done.embedded, done.reused, done.refused) == (4, 0, ())
    assert done.tiles == {name: len(matrix) for name, matrix in bags.items()}
    for name, row in stored(tmp_path, done).items():
        expected = bags[name].astype(np.float64).mean(axis=0).astype(np.float32)
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("form", [name for name, (_, _, tiles) in FORMS.items() if tiles == 1])
def test_single_rows_are_stored_to_the_bit(tmp_path: Path, form: str) -> None:
    bags = random_bags(1)
    FORMS[form][1](tmp_path, bags)
    done = imported(tmp_path, path="*.*")
    for name, row in stored(tmp_path, done).items():
        np.testing.assert_array_equal(row, bags[name][0])


def test_float16_rounds_and_nothing_else(tmp_path: Path) -> None:
    bags = random_bags(1)
    write_csv(tmp_path, bags)
    done = imported(tmp_path, path="features.csv", dtype="float16")
    for name, row in stored(tmp_path, done).items():
        np.testing.assert_array_equal(row, bags[name][0].astype(np.float16).astype(np.float32))


def test_the_key_is_the_digest_of_the_stored_bytes(tmp_path: Path) -> None:
    write_csv(tmp_path, random_bags(1))
    done = imported(tmp_path, path="features.csv")
    rows = stored(tmp_path, done)
    assert done.rows.keys == {n: hashlib.sha256(r.tobytes()).hexdigest() for n, r in rows.items()}


def test_the_identity_says_what_is_known(tmp_path: Path) -> None:
    write_csv(tmp_path, random_bags(1))
    done = imported(tmp_path, path="features.csv", version="1.0", trained_on=["b", "a"])
    identity = done.identity
    assert (identity.backbone, identity.version, identity.pooling) == ("uni", "1.0", "mean")
    assert (identity.trained_on, identity.training_patients) == ("listed", ("a", "b"))
    assert identity.weights == "1 csv file"
    others = [
        imported(tmp_path, path="features.csv", **change).identity.digest
        for change in (
            {},
            {"version": "2"},
            {"trained_on": "none"},
            {"pool": "max"},
            {"columns": ["f[01]"]},
            {"dtype": "float16"},
        )
    ]
    assert len({identity.digest, *others}) == 7


def test_the_second_import_reuses_and_a_changed_file_is_another_identity(tmp_path: Path) -> None:
    bags = dict(random_bags(9))
    write_trident(tmp_path, bags)
    first = imported(tmp_path)
    again = imported(tmp_path)
    assert (again.identity, again.embedded, again.reused) == (first.identity, 0, 4)
    assert again.rows == first.rows
    name = next(iter(bags))
    (tmp_path / f"{name}.h5").rename(tmp_path / "renamed.h5")
    assert imported(tmp_path).identity == first.identity  # its name is no part of what it holds
    (tmp_path / "renamed.h5").unlink()
    write_trident(tmp_path, {name: bags[name] + 1})
    changed = imported(tmp_path)
    assert changed.identity != first.identity
    assert changed.embedded == 4


def test_a_lost_record_and_a_damaged_shard_are_made_again(tmp_path: Path) -> None:
    write_trident(tmp_path, random_bags(9))
    first = imported(tmp_path)
    store = FeatureStore(tmp_path / "store")
    folder = store.folder(first.identity)
    (folder / IMPORT_RECORD).write_text("{}")
    assert read_record(folder) is None
    (found,) = verify(store, repair=True).damaged
    assert found.path == folder / IMPORT_RECORD
    assert verify(store).damaged == ()
    again = imported(tmp_path)
    assert (again.embedded, again.rows) == (0, first.rows)
    (shard,) = store.shard_paths(first.identity)
    shard.write_bytes(shard.read_bytes()[:-1])
    healed = imported(tmp_path)
    assert (healed.embedded, healed.rows) == (4, first.rows)
    assert set(stored(tmp_path, healed)) == set(first.rows.keys)


def test_the_store_knows_imports_as_it_knows_pictures(tmp_path: Path) -> None:
    write_trident(tmp_path, random_bags(9))
    done = imported(tmp_path)
    store = FeatureStore(tmp_path / "store")
    name = next(iter(done.rows.keys))
    (line,) = explain(store, name).lines
    assert line.startswith("uni (imported from 4 trident files, trained on: unknown, ")
    assert f"cached, as image {name}" in line
    assert verify(store).damaged == ()
    with h5py.File(pack(store, store.root / "packed.h5"), "r") as file:
        assert file["uni/embedding"].shape == (4, 5)
    other = imported(tmp_path, pool="max")
    removed = gc(store, [other.identity.short])
    assert store.folder(done.identity) in removed.paths
    assert [e.pooling for e in store.encoders()] == ["max"]


def spoil(folder: Path, name: str, value: float) -> None:
    with h5py.File(folder / f"{name}.h5", "r+") as file:
        file["feats"][0, 0] = value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "1 of its values are missing (NaN)"),
        (-np.inf, "1 of its values are infinite"),
    ],
)
def test_what_is_not_finite_is_quarantined_and_the_rest_goes_on(
    tmp_path: Path, value: float, reason: str
) -> None:
    bags = random_bags(9)
    write_stamp_tiles(tmp_path, bags)
    spoilt = next(iter(bags))
    spoil(tmp_path, spoilt, value)
    done = imported(tmp_path)
    assert [(row.image_id, row.reason) for row in done.refused] == [(spoilt, reason)]
    assert set(done.rows.keys) == set(bags) - {spoilt}
    assert done.rows.refused == {spoilt: reason}
    table = FeatureStore(tmp_path / "store").quarantined()
    assert table[["image_id", "path", "reason"]].values.tolist() == [
        [spoilt, f"{spoilt}.h5", reason]
    ]
    assert imported(tmp_path).rows == done.rows  # the finished import says so, too


def test_what_overflows_float16_is_quarantined(tmp_path: Path) -> None:
    bags = dict(random_bags(1))
    name = next(iter(bags))
    bags[name] = bags[name].copy()
    bags[name][0, 0] = 70_000
    write_csv(tmp_path, bags)
    done = imported(tmp_path, path="features.csv", dtype="float16")
    assert done.rows.refused == {name: "1 of its values overflow float16"}
    assert not imported(tmp_path, path="features.csv").rows.refused


def test_a_truncated_file_is_quarantined_and_the_rest_goes_on(tmp_path: Path) -> None:
    bags = random_bags(9)
    write_trident(tmp_path, bags)
    cut = next(iter(bags))
    path = tmp_path / f"{cut}.h5"
    path.write_bytes(path.read_bytes()[:1500])
    done = imported(tmp_path)
    assert set(done.rows.keys) == set(bags) - {cut}
    (row,) = done.refused
    assert (row.image_id, row.path) == (cut, f"{cut}.h5")
    assert row.reason.startswith("no readable HDF5 file, or cut short")


def test_a_bag_without_tiles_is_quarantined(tmp_path: Path) -> None:
    bags = dict(random_bags(9)) | {"empty": np.empty((0, 5), np.float32)}
    write_stamp_tiles(tmp_path, bags)
    assert imported(tmp_path).rows.refused == {"empty": "it has no tiles"}


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    write_stamp_tiles(tmp_path, {"a": np.full((2, 5), np.nan, np.float32)})
    with pytest.raises(DataError, match=r"uni: no row of 1 can be used; the first, a: 10 of its"):
        imported(tmp_path)


def refused(folder: Path, said: str, **options: Any) -> None:
    with pytest.raises(DataError, match=said) as error:
        imported(folder, **options)
    assert "\n" not in str(error.value)
    assert not list(folder.rglob("*/shards/*.h5"))  # told before anything is written


def test_mixed_widths_are_an_error(tmp_path: Path) -> None:
    bags = dict(random_bags(9)) | {"odd": np.ones((3, 7), np.float32)}
    write_trident(tmp_path, bags)
    refused(tmp_path, r"uni: 4 have 5 numbers \(TCGA-.* and 1 more\); 1 have 7 numbers \(odd\)")


def test_two_encoders_in_one_folder_are_an_error(tmp_path: Path) -> None:
    write_stamp_tiles(tmp_path, random_bags(9))
    with h5py.File(tmp_path / "TCGA-ER-A2N1-01Z-00-DX1.h5", "r+") as file:
        file.attrs["extractor"] = "chief-ctranspath"
    refused(tmp_path, r"state 2 encoders: 3 of uni2 \(.*\); 1 of chief-ctranspath \(TCGA-ER-A2N1")


def test_two_encoders_of_one_width_are_told_by_where_trident_wrote_them(tmp_path: Path) -> None:
    write_trident(tmp_path, random_bags(9))
    with h5py.File(tmp_path / "TCGA-ER-A2N1-01Z-00-DX1.h5", "r+") as file:
        file["features"].attrs["savetodir"] = "/data/20x_256px/features_virchow"
    refused(tmp_path, r"state 2 encoders: 3 of uni_v1 \(.*\); 1 of virchow \(TCGA-ER-A2N1")


def test_two_formats_in_one_folder_are_an_error(tmp_path: Path) -> None:
    write_trident(tmp_path, random_bags(9))
    write_stamp_tiles(tmp_path, {"b": np.ones((2, 5), np.float32)})
    refused(tmp_path, r"files of 2 formats \(stamp: 1, first b.h5; trident: 4, first TCGA")


def test_one_id_twice(tmp_path: Path) -> None:
    bags = random_bags(1)
    write_csv(tmp_path, bags)
    first = pd.read_csv(tmp_path / "features.csv", dtype=str)
    both = pd.concat([first, first.iloc[:1]])
    both.to_csv(tmp_path / "features.csv", index=False)
    assert len(imported(tmp_path, path="features.csv").rows.keys) == 4
    (tmp_path / "other").mkdir()
    other = pd.concat([first, first.iloc[:1].assign(f0="9")])
    other.to_csv(tmp_path / "other" / "features.csv", index=False)
    refused(tmp_path / "other", "1 ids stand more than once with other values", path="*.csv")


def test_rows_without_id_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "features.csv").write_text("slide_id,f0,f1\na,1,2\n,3,4\n")
    refused(tmp_path, "uni: 1 of 2 rows have no id", path="features.csv")


def test_no_file_and_no_format(tmp_path: Path) -> None:
    refused(tmp_path, r"no file at 'nothing/\*\.h5' under the data root", path="nothing/*.h5")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.7")
    refused(tmp_path, "no file of 1 is whole and of a known format .notes.pdf", path="notes.pdf")
    (tmp_path / "tiles.pt").write_bytes(b"PK\x03\x04")
    refused(tmp_path, r"tiles.pt is a PyTorch file, which .* convert it", path="tiles.pt")


def test_patients_of_a_table_beside_the_features(tmp_path: Path) -> None:
    bags: Bags = {"s1": np.ones((2, 5), np.float32), "s2": np.zeros((2, 5), np.float32)}
    write_trident(tmp_path, bags)
    table = tmp_path / "slides.csv"
    table.write_text("slide,patient\ns1.svs,P1\ns2,P2\ns3,P2\n")
    done = imported(tmp_path, patient_from="slides.csv")
    assert {name: done.rows.patients[name] for name in bags} == {"s1": "P1", "s2": "P2"}
    table.write_text("slide,patient\ns1.svs,P1\ns1,P2\n")
    with pytest.raises(DataError, match=r"slides.csv: 1 ids have two patients or more: s1"):
        imported(tmp_path, patient_from="slides.csv")
    table.write_text("slide,age\ns1,3\n")
    with pytest.raises(DataError, match=r"slides.csv: no column patient_id; the file has slide"):
        imported(tmp_path, patient_from="slides.csv")


class TestKeptBags:
    def test_tiles_are_kept_to_the_bit_beside_their_mean(self, tmp_path: Path) -> None:
        bags = random_bags(9)
        write_trident(tmp_path, bags)
        done = imported(tmp_path, pool="none")
        store = FeatureStore(tmp_path / "store")
        files = store.bags(done.identity)
        assert files is not None
        for name, row in stored(tmp_path, done).items():
            np.testing.assert_array_equal(files.read(done.rows.keys[name]), bags[name])
            expected = bags[name].astype(np.float64).mean(axis=0).astype(np.float32)
            np.testing.assert_array_equal(row, expected)
        assert store.bags(imported(tmp_path).identity) is None
        assert imported(tmp_path, pool="none").reused == 4

    def test_a_lost_or_damaged_bag_is_imported_again(self, tmp_path: Path) -> None:
        write_trident(tmp_path, random_bags(9))
        done = imported(tmp_path, pool="none")
        store = FeatureStore(tmp_path / "store")
        first, second, *_ = bag_paths(store.folder(done.identity))
        first.unlink()
        second.write_bytes(second.read_bytes()[:-1])
        report = verify(store, repair=True)
        assert [found.path for found in report.damaged] == [second]
        again = imported(tmp_path, pool="none")
        assert (again.embedded, again.reused) == (2, 2)
        assert again.rows.keys == done.rows.keys
        assert verify(store).damaged == ()

    def test_a_bag_without_a_row_is_collected(self, tmp_path: Path) -> None:
        write_trident(tmp_path, random_bags(9))
        done = imported(tmp_path, pool="none")
        store = FeatureStore(tmp_path / "store")
        tiles = np.zeros((2, 5), dtype=np.float32)
        key = write_bag(store.folder(done.identity), (2, 5), tiles.dtype, [tiles])
        assert [path.stem for path in gc(store).paths] == [key]
        assert gc(store).paths == ()

    def test_what_cannot_be_kept_is_quarantined(self, tmp_path: Path) -> None:
        bags = dict(random_bags(9))
        first, second, *_ = bags
        bags[first] = bags[first] * np.float32(1e38)
        bags[second] = np.empty((0, 5), dtype=np.float32)
        write_trident(tmp_path, bags)
        done = imported(tmp_path, pool="none", dtype="float16")
        reasons = {row.image_id: row.reason for row in done.refused}
        assert "overflow float16" in reasons[first]
        assert reasons[second] == "it has no tiles"
        store = FeatureStore(tmp_path / "store")
        assert len(bag_paths(store.folder(done.identity))) == done.embedded == 2
