"""Encoders on a device whose memory runs out, played by the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from card_example import Sums, card_plan, memory_of, sums_backbone

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig
from extractor.device import ComputePlan
from extractor.encoder import Encoder
from extractor.transfers import Batch
from featurestore.errors import ConfigError

SQUARES = list(np.random.default_rng(0).integers(0, 256, (21, 32, 32, 3), dtype=np.uint8))


def encoder(plan: ComputePlan, name: str = "sums") -> Encoder:
    return Encoder(sums_backbone(3.0, name), plan)


def test_out_of_memory_halves_and_loses_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encoder(card_plan(16)).embed(SQUARES)
    assert np.unique(expected, axis=0).shape == (21, 6)
    with memory_of(monkeypatch, images=5) as tried:
        tight = encoder(card_plan(16))
        np.testing.assert_array_equal(tight.embed(SQUARES), expected)
        assert tried == [16, 8, 4, 4, 4, 4, 4, 4]  # padded to the last
        assert tight.pass_size == 4
        assert tight.notice == "cpu ran out of memory: sums takes 4 images a pass"


def test_no_memory_for_one_image_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_of(monkeypatch, images=0), pytest.raises(ConfigError, match="a single image") as e:
        encoder(card_plan(1)).embed(SQUARES[:2])
    assert "\n" not in str(e.value)


def test_other_errors_of_a_pass_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = encoder(card_plan(4))
    monkeypatch.setattr(
        Sums,
        "forward_head",
        lambda self, x: (_ for _ in ()).throw(RuntimeError("odd")),
    )
    with pytest.raises(RuntimeError, match="odd"):
        one.embed(SQUARES)


def test_the_pass_is_found_from_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_of(monkeypatch, images=1000, free=160_000) as tried:
        found = encoder(card_plan("auto"))
        assert found.pass_size == 64
        assert found.pass_size == 64
        assert tried == [16, 32, 64]
    with memory_of(monkeypatch, images=40) as tried:
        assert encoder(card_plan("auto")).pass_size == 32
    assert encoder(card_plan(7)).pass_size == 7


def test_an_embedding_keeps_within_a_millionth_in_other_company() -> None:
    """Of passes of other sizes; of the same size it keeps its bits (test_backbones)."""
    config = BackboneConfig(name="test_resnet", weights="random", image_size=32)
    backbone = load_backbone(config, 0, Path())
    alone, together = (Encoder(backbone, card_plan(n)).embed(SQUARES) for n in (1, 21))
    assert np.abs(alone - together).max() <= 1e-6 * np.abs(together).max()


def test_networks_on_one_batch_and_float32_of_a_card_by_name() -> None:
    batch = Batch(SQUARES[:5])
    first, second = encoder(card_plan(4), "a"), encoder(card_plan(4), "b")
    np.testing.assert_array_equal(first.begin(batch)(), second.begin(batch)())
    assert first.identity.dtype == "float32, cuda"
    plain = ComputePlan(torch.device("cpu"), torch.float32, 4, 1)
    assert encoder(plain).identity.dtype == "float32"
