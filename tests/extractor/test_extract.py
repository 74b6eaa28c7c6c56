from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from card_example import card_plan, memory_of, sums_backbone
from PIL import Image
from scans_example import scanned_jpeg, scanned_mpo

import extractor.extract as module
from extractor.config import BackboneConfig, ExtractConfig
from extractor.encoder import Encoder
from extractor.extract import NOT_FINITE, OVERFLOW, ExtractionReport, embed_images, extract
from extractor.reading import CHANGED
from extractor.transfers import Batch, Direct, Fetch
from featurestore.errors import ConfigError, DataError, StoreError
from featurestore.store.store import FeatureStore

MakePictures = Callable[[int], pd.DataFrame]
SmallConfig = Callable[..., ExtractConfig]
TableOf = Callable[[Sequence[Path]], pd.DataFrame]


def run(images: pd.DataFrame, root: Path, config: ExtractConfig) -> ExtractionReport:
    return extract(images, FeatureStore(root), config, seed=0, data_root=Path("/"))


def stored(report: ExtractionReport, root: Path, images: pd.DataFrame) -> dict[str, np.ndarray]:
    store = FeatureStore(root)
    sha256s = sorted(set(images["sha256"]))
    return {name: store.read(i, sha256s) for name, i in report.encoders.items()}


def assert_same_bytes(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def one_resnet(**changes: object) -> ExtractConfig:
    backbone = BackboneConfig(name="resnet18", weights="random", image_size=32)
    return ExtractConfig.model_validate({"backbones": (backbone,), "device": "cpu"} | changes)


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


def spoilt_files(folder: Path, good: Path) -> dict[str, Path]:
    data = good.read_bytes()
    Image.new("RGB", (1200, 1000)).save(folder / "bomb.png")
    for name, content in {
        "empty.jpg": b"",
        "text.jpg": b"not an image, only text\n" * 9,
        "truncated.jpg": data[: len(data) // 2],
        "header.jpg": data[:20],
        "scans.jpg": scanned_jpeg(8000),
        "two-scans.jpg": scanned_mpo(8000),
    }.items():
        (folder / name).write_bytes(content)
    return {p.stem: p for p in folder.iterdir()}


def test_spoilt_files_are_quarantined_with_a_reason_and_the_run_goes_on(
    tmp_path: Path, make_pictures: MakePictures, table_of: TableOf
) -> None:
    good = [Path(p) for p in make_pictures(3)["path"]]
    (tmp_path / "spoilt").mkdir()
    spoilt = spoilt_files(tmp_path / "spoilt", good[1])
    images = table_of([*good, *spoilt.values()])
    gone = pd.DataFrame({"image_id": ["gone"], "path": ["/nowhere/x.jpg"], "sha256": ["0" * 64]})
    images = pd.concat([images, gone])
    root = tmp_path / "store"
    config = one_resnet(max_megapixels=1.0)
    report = run(images, root, config)
    assert (report.embedded, report.reused) == (3, 0)
    reasons = {row.image_id: row.reason for row in report.quarantined}
    assert set(reasons) == {*spoilt, "gone"}
    assert reasons["bomb"] == "larger than 1 megapixels"
    assert reasons["empty"] == "empty file"
    assert reasons["text"] == "not an image"
    assert reasons["truncated"] == "truncated"
    assert reasons["scans"] == reasons["two-scans"] == "too many scans"
    assert reasons["gone"] == "no such file"
    assert all(reasons.values())
    table = FeatureStore(root).quarantined()
    assert dict(zip(table["image_id"], table["reason"], strict=True)) == reasons

    again = run(images, root, config)
    assert (again.embedded, again.reused) == (0, 3)
    assert again.quarantined == report.quarantined
    assert len(FeatureStore(root).quarantined()) == len(reasons)


def test_a_file_that_changed_since_the_cohort_was_read_is_refused(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(3)
    path = Path(images["path"][1])
    path.write_bytes(path.read_bytes() + b"\0")
    report = run(images, tmp_path / "store", one_resnet())
    assert [(r.image_id, r.reason) for r in report.quarantined] == [(path.stem, CHANGED)]
    assert report.embedded == 2


def test_nothing_but_spoilt_files_is_an_error(tmp_path: Path, table_of: TableOf) -> None:
    paths = [tmp_path / f"{i}.jpg" for i in range(3)]
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 3 images .*0\.jpg: empty file"):
        run(table_of(paths), tmp_path / "store", one_resnet())
    assert len(FeatureStore(tmp_path / "store").quarantined()) == 3


def test_an_empty_table_is_no_error(tmp_path: Path, make_pictures: MakePictures) -> None:
    report = run(make_pictures(1).iloc[:0], tmp_path / "store", one_resnet())
    assert (report.embedded, report.reused, report.quarantined) == (0, 0, ())


@pytest.mark.parametrize(
    ("value", "dtype", "reason"),
    [(np.nan, "float32", NOT_FINITE), (np.inf, "float16", NOT_FINITE), (7e4, "float16", OVERFLOW)],
)
def test_an_embedding_that_cannot_be_stored_is_quarantined(
    tmp_path: Path,
    make_pictures: MakePictures,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
    dtype: str,
    reason: str,
) -> None:
    begin = Encoder.begin

    def spoil_the_first(self: Encoder, batch: Batch) -> Fetch:
        embeddings = begin(self, batch)().copy()
        embeddings[0, 3] = value
        return lambda: embeddings

    monkeypatch.setattr(Encoder, "begin", spoil_the_first)
    images = make_pictures(5)
    report = run(images, tmp_path / "store", one_resnet(storage_dtype=dtype))
    assert [(r.image_id, r.reason) for r in report.quarantined] == [("picture_000", reason)]
    assert report.embedded == 4


def test_half_precision_storage_rounds_and_nothing_else(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(3)
    full = stored(run(images, tmp_path / "f", one_resnet()), tmp_path / "f", images)
    config = one_resnet(storage_dtype="float16")
    half = stored(run(images, tmp_path / "h", config), tmp_path / "h", images)
    np.testing.assert_array_equal(half["resnet18"], full["resnet18"].astype(np.float16))


def test_an_interruption_keeps_what_was_embedded(
    tmp_path: Path, make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_pictures(60)
    expected = stored(run(images, tmp_path / "a", one_resnet()), tmp_path / "a", images)
    root = tmp_path / "b"

    class Interrupting:
        done = 0

        def start(self, stage: str, total: int) -> None:
            assert (stage, total) == ("extract", 60)

        def advance(self, n: int = 1, detail: str = "") -> None:
            assert "images/s; decode" in detail
            self.done += n
            if self.done == 20:
                raise KeyboardInterrupt

        def finish(self, summary: str = "") -> None:
            self.summary = summary

    progress = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        extract(images, FeatureStore(root), one_resnet(), 0, Path("/"), progress)
    assert "images embedded" in progress.summary
    report = run(images, root, one_resnet())
    assert report.reused >= 20
    assert report.embedded == 60 - report.reused
    assert_same_bytes(stored(report, root, images), expected)


def test_a_full_disk_is_one_line_and_resumable(
    tmp_path: Path, make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_pictures(3)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device") as caught:
            run(images, tmp_path / "store", one_resnet())
    assert "\n" not in str(caught.value)
    assert run(images, tmp_path / "store", one_resnet()).embedded == 3


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


KILLED = """
import sys
from pathlib import Path
import pandas as pd
from extractor.config import ExtractConfig
from extractor.extract import extract
from featurestore.store import FeatureStore

class SmallShards(FeatureStore):
    def writer(self, identity, shard_rows=7, dtype="float32"):
        return super().writer(identity, 7, dtype)

table, root, config = map(Path, sys.argv[1:])
extract(
    pd.read_csv(table), SmallShards(root),
    ExtractConfig.model_validate_json(config.read_text()), 0, Path("/"),
)
"""


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, make_pictures: MakePictures, small_config: SmallConfig
) -> None:
    images = make_pictures(150)
    expected = stored(run(images, tmp_path / "a", small_config()), tmp_path / "a", images)
    root = tmp_path / "b"
    (tmp_path / "config.json").write_text(small_config().model_dump_json())
    images.to_csv(tmp_path / "images.csv", index=False)
    arguments = [str(tmp_path / "images.csv"), str(root), str(tmp_path / "config.json")]
    repository = Path(module.__file__).resolve().parents[1]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], cwd=repository)
    deadline = time.monotonic() + 120
    while not list(root.glob("encoders/*/shards/*.h5")) and time.monotonic() < deadline:
        assert process.poll() in (None, 0)
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    report = run(images, root, small_config())
    assert report.embedded + report.reused == 150
    assert_same_bytes(stored(report, root, images), expected)


def on_card(images: pd.DataFrame, root: Path, batch_size: int | str) -> dict[str, np.ndarray]:
    """Two networks on one batch, several in flight, on a CUDA device played by the CPU."""
    plan = card_plan(batch_size)
    encoders = [Encoder(sums_backbone(w, n), plan) for w, n in ((2.0, "a"), (5.0, "b"))]
    store = FeatureStore(root)
    report = embed_images(images, store, encoders, plan, one_resnet(), Path("/"))
    return stored(
        report, root, images[~images["image_id"].isin([r.image_id for r in report.quarantined])]
    )


def test_on_a_card_order_and_bytes_survive_batches_in_flight_and_a_lack_of_memory(
    tmp_path: Path, make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_pictures(23)
    uploads: list[int] = []
    upload = Direct.upload
    monkeypatch.setattr(
        Direct, "upload", lambda self, host: uploads.append(len(host)) or upload(self, host)
    )
    expected = on_card(images, tmp_path / "one", 1)
    assert uploads == [1] * 23  # one copy for both networks
    assert_same_bytes(on_card(images, tmp_path / "many", 4), expected)
    with memory_of(monkeypatch, images=5):
        assert_same_bytes(on_card(images, tmp_path / "tight", 16), expected)
    with memory_of(monkeypatch, images=50):
        assert_same_bytes(on_card(images, tmp_path / "auto", "auto"), expected)


def test_on_a_card_a_spoilt_file_falls_alone_and_a_run_is_taken_up(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(13)
    expected = on_card(images, tmp_path / "whole", 4)
    on_card(images.iloc[:6], tmp_path / "parts", 4)
    assert_same_bytes(on_card(images, tmp_path / "parts", 4), expected)
    Path(images["path"][3]).write_bytes(b"no image")
    spoilt = on_card(images, tmp_path / "spoilt", 4)
    kept = sorted(images["sha256"])
    rows = [i for i, digest in enumerate(kept) if digest != images["sha256"][3]]
    assert_same_bytes(spoilt, {name: values[rows] for name, values in expected.items()})
