"""Images that cannot be embedded: each has a reason, and the run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from extract_example import (
    MakePictures,
    TableOf,
    one_resnet,
    run,
)
from PIL import Image
from scans_example import scanned_jpeg, scanned_mpo

from extractor.encoder import Encoder
from extractor.extract import NOT_FINITE, OVERFLOW
from extractor.reading import CHANGED
from extractor.transfers import Batch, Fetch
from featurestore.errors import DataError
from featurestore.store.store import FeatureStore


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
