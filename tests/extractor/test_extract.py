"""Images to embeddings: nothing twice, and nothing that changes a bit."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from extract_example import (
    MakePictures,
    SmallConfig,
    TableOf,
    assert_same_bytes,
    one_resnet,
    run,
    stored,
)
from PIL import Image

from extractor.encoder import Encoder
from extractor.extract import extract
from extractor.transfers import Batch, Fetch
from featurestore.errors import ConfigError
from featurestore.store.store import FeatureStore


def test_both_default_backbones_from_one_pass_and_nothing_twice(
    tmp_path: Path, make_pictures: MakePictures, small_config: SmallConfig
) -> None:
    images = make_pictures(19)
    report = run(images, tmp_path / "store", small_config())
    assert (report.embedded, report.reused, report.quarantined) == (19, 0, ())
    embeddings = stored(report, tmp_path / "store", images)
    assert {n: e.shape for n, e in embeddings.items()} == {
        "resnet18": (19, 512),
        "efficientnet_b0": (19, 1280),
    }
    assert all(np.isfinite(e).all() for e in embeddings.values())
    assert all(len(np.unique(e, axis=0)) == 19 for e in embeddings.values())
    assert set(report.seconds) == {"elapsed", "decode", "forward", "write"}
    assert (tmp_path / "store" / "features.h5").exists()

    again = run(images.sample(frac=1, random_state=1), tmp_path / "store", small_config())
    assert (again.embedded, again.reused, again.quarantined) == (0, 19, ())
    assert again.encoders == report.encoders


def test_order_batch_size_workers_and_company_do_not_change_a_bit(
    tmp_path: Path, make_pictures: MakePictures, small_config: SmallConfig
) -> None:
    images = make_pictures(13)
    expected = stored(run(images, tmp_path / "0", small_config()), tmp_path / "0", images)
    for batch_size in (1, 5):
        config = small_config(batch_size=batch_size, workers=batch_size)
        root = tmp_path / f"batch_{batch_size}"
        shuffled = images.sample(frac=1, random_state=batch_size)
        assert_same_bytes(stored(run(shuffled, root, config), root, images), expected)

    pieces = tmp_path / "pieces"
    for part in (images.iloc[:3], images.iloc[2:4], images):
        report = run(part, pieces, small_config())
    assert report.reused == 4
    assert_same_bytes(stored(report, pieces, images), expected)

    for backbone in small_config().backbones:
        alone = tmp_path / backbone.name
        report = run(images, alone, small_config(backbones=(backbone,)))
        result = stored(report, alone, images)
        assert_same_bytes(result, {backbone.name: expected[backbone.name]})


def test_a_backbone_that_is_added_is_the_only_one_computed(
    tmp_path: Path, make_pictures: MakePictures, small_config: SmallConfig
) -> None:
    images = make_pictures(3)
    first = run(images, tmp_path / "s", small_config(backbones=small_config().backbones[:1]))
    shards = set((tmp_path / "s").rglob("shards/*.h5"))
    both = run(images, tmp_path / "s", small_config())
    assert both.embedded == 3
    assert first.encoders["resnet18"] == both.encoders["resnet18"]
    new = set((tmp_path / "s").rglob("shards/*.h5")) - shards
    assert {p.parent.parent.name for p in new} == {both.encoders["efficientnet_b0"].digest}


def test_resume_is_by_content_not_by_name(
    tmp_path: Path, make_pictures: MakePictures, table_of: TableOf
) -> None:
    images = make_pictures(4)
    root = tmp_path / "store"
    run(images, root, one_resnet())
    paths = [Path(p) for p in images["path"]]
    renamed = paths[0].rename(paths[0].with_stem("renamed"))
    with Image.open(paths[1]) as image:
        changed = image.transpose(Image.Transpose.ROTATE_180)
    changed.save(paths[1])
    copied = Path(shutil.copy(paths[2], paths[2].with_stem("copied")))
    now = table_of([renamed, *paths[1:], copied])
    report = run(now, root, one_resnet())
    assert (report.embedded, report.reused) == (1, 4)
    assert len(FeatureStore(root).present(report.encoders["resnet18"])) == 5


def test_the_same_content_under_two_ids_is_embedded_once(
    tmp_path: Path, make_pictures: MakePictures, table_of: TableOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(make_pictures(1)["path"][0])
    twin = Path(shutil.copy(path, path.with_stem("twin")))
    seen: list[int] = []
    begin = Encoder.begin

    def counted(self: Encoder, batch: Batch) -> Fetch:
        seen.append(len(batch))
        return begin(self, batch)

    monkeypatch.setattr(Encoder, "begin", counted)
    report = run(table_of([path, twin]), tmp_path / "store", one_resnet())
    assert seen == [1]
    assert (report.embedded, report.reused) == (2, 0)


def test_an_empty_table_is_no_error(tmp_path: Path, make_pictures: MakePictures) -> None:
    report = run(make_pictures(1).iloc[:0], tmp_path / "store", one_resnet())
    assert (report.embedded, report.reused, report.quarantined) == (0, 0, ())


def test_half_precision_storage_rounds_and_nothing_else(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(3)
    full = stored(run(images, tmp_path / "f", one_resnet()), tmp_path / "f", images)
    config = one_resnet(storage_dtype="float16")
    half = stored(run(images, tmp_path / "h", config), tmp_path / "h", images)
    np.testing.assert_array_equal(half["resnet18"], full["resnet18"].astype(np.float16))


def test_the_progress_counts_every_image_row(
    tmp_path: Path, make_pictures: MakePictures, small_config: SmallConfig, table_of: TableOf
) -> None:
    paths = [Path(p) for p in make_pictures(5)["path"]]
    paths.append(Path(shutil.copy(paths[0], tmp_path / "twin.png")))
    (tmp_path / "empty.png").write_bytes(b"")
    images = table_of([*paths, tmp_path / "empty.png"])

    @dataclasses.dataclass
    class Counting:
        total: int = 0
        done: int = 0
        summary: str = ""

        def start(self, stage: str, total: int) -> None:
            self.total = total

        def advance(self, n: int = 1, detail: str = "") -> None:
            self.done += n

        def finish(self, summary: str = "") -> None:
            self.summary = summary

    progress = Counting()
    extract(images, FeatureStore(tmp_path / "s"), small_config(), 0, Path("/"), progress)
    assert progress.done == progress.total == 7
    assert progress.summary.startswith("6 images embedded, 0 reused, 1 quarantined (")


def test_unknown_devices_and_backbones_are_errors(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(1)
    with pytest.raises(ConfigError, match="device 'gpu' is unknown"):
        run(images, tmp_path / "s", one_resnet(device="gpu"))
    config = one_resnet(backbones=[{"name": "resnet8080", "weights": "random"}])
    with pytest.raises(ConfigError, match="backbone 'resnet8080' is unknown"):
        run(images, tmp_path / "s", config)
