"""Extraction on a card, played by the CPU: the same bytes with batches in flight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from card_example import card_plan, memory_of, sums_backbone
from extract_example import (
    MakePictures,
    assert_same_bytes,
    one_resnet,
    stored,
)

from extractor.encoder import Encoder
from extractor.extract import embed_images
from extractor.transfers import Direct
from featurestore.store.store import FeatureStore


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
