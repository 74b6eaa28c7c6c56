"""Extractions that end early: what was embedded is kept, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from extract_example import (
    MakePictures,
    SmallConfig,
    assert_same_bytes,
    one_resnet,
    run,
    stored,
)

import extractor.extract as module
from extractor.extract import extract
from featurestore.errors import StoreError
from featurestore.store.store import FeatureStore


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
