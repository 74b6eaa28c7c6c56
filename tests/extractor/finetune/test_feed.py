from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from finetune_example import pictures, tiny_config

from extractor import memory
from extractor.config_finetune import AugmentConfig
from extractor.distributed import ALONE, ProcessGroup
from extractor.finetune import feed as module
from extractor.finetune.augment import OwnAugmenter
from extractor.finetune.batches import load_passes, passes_of, plan_epoch
from extractor.finetune.feed import DeviceFeed, HostFeed, feed_of
from extractor.finetune.shelf import OnHost, Resident, Shelf, shelf_of, take
from extractor.finetune.varied import varied
from featurestore.errors import ConfigError

CPU = torch.device("cpu")
AUGMENT = OwnAugmenter(AugmentConfig(), 32)


@pytest.mark.parametrize("shelf", [Resident, OnHost])
def test_pictures_lie_on_the_device_or_travel_and_are_the_same(shelf: type[Shelf]) -> None:
    data = pictures(300, 0, 12)  # more than are copied at a time
    for square in data.squares:
        square.flags.writeable = False
    rows = np.array([299, 0, 7, 7, 256])
    found = take(shelf(data.squares, CPU), rows)  # type: ignore[call-arg]
    expected = np.stack([data.squares[row] for row in rows])
    np.testing.assert_array_equal(found.permute(0, 2, 3, 1).numpy(), expected)


def test_a_card_holds_pictures_that_a_share_of_its_free_memory_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card, data = torch.device("cuda:0"), pictures(4, 0, 10)
    held: list[torch.device] = []
    monkeypatch.setattr(Resident, "__init__", lambda self, squares, device: held.append(device))
    monkeypatch.setattr(OnHost, "__init__", lambda self, squares, device: None)
    for free, kind in ((4 * 4 * 300, Resident), (4 * 4 * 300 - 1, OnHost)):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        assert memory.DATA_SHARE == 0.25
        assert type(shelf_of(data.squares, card)) is kind
    assert held == [card]


@pytest.mark.parametrize("shelf", [Resident, OnHost])
def test_the_device_is_fed_what_the_host_would_be(
    shelf: type[Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same rows, labels and numbers; grey levels within rounding."""
    monkeypatch.setattr(module, "shelf_of", shelf)
    data = pictures(22, 0)
    passes = passes_of(plan_epoch(data.labels, tiny_config(), 0, 1, ALONE))
    host = list(load_passes(data, passes, AUGMENT, 0, CPU))
    feed = DeviceFeed(data, AUGMENT, CPU)
    device = list(feed.passes(passes))
    assert len(device) == len(host) == len(passes)
    for (found, labels), (expected, known) in zip(device, host, strict=True):
        assert torch.equal(labels, known)
        away = (found.int() - expected.int()).abs()
        assert (away > 1).float().mean() < 0.01
    again = list(feed.passes(passes))  # as after a resume
    assert all(torch.equal(a[0], b[0]) for a, b in zip(device, again, strict=True))


def test_a_process_without_a_part_gets_an_empty_pass() -> None:
    data = pictures(2, 0)
    passes = passes_of(plan_epoch(data.labels, tiny_config(), 0, 1, ProcessGroup(2, 3, 2)))
    ((pixels, labels),) = DeviceFeed(data, AUGMENT, CPU).passes(passes)
    assert (tuple(pixels.shape), pixels.dtype) == ((0, 3, 32, 32), torch.uint8)
    assert tuple(labels.shape) == (0,)


def test_who_varies_follows_device_setting_and_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures(4, 0)
    assert feed_of(data, AUGMENT, None, CPU) == HostFeed(data, AUGMENT, 0, CPU)
    assert feed_of(data, AUGMENT, 3, CPU) == HostFeed(data, AUGMENT, 3, CPU)
    card = torch.device("cuda:0")
    monkeypatch.setattr(DeviceFeed, "__init__", lambda self, *given: None)
    assert isinstance(feed_of(data, AUGMENT, None, card), DeviceFeed)
    assert feed_of(data, AUGMENT, 2, card) == HostFeed(data, AUGMENT, 2, card)

    def pipeline(picture: torch.Tensor, seed: int) -> torch.Tensor:
        return picture

    assert feed_of(data, pipeline, None, card) == HostFeed(data, pipeline, 4, card)


def test_a_lack_of_memory_for_pictures_cuts_what_is_varied_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pictures(8, 0)
    feed = DeviceFeed(data, AUGMENT, CPU)
    passes = passes_of(plan_epoch(data.labels, tiny_config(), 0, 1, ALONE))
    ((whole, labels),) = feed.passes(passes)
    most = 3

    def limited(batch: torch.Tensor, *others: Any) -> torch.Tensor:
        if len(batch) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return varied(batch, *others)

    monkeypatch.setattr(feed, "_varied", limited)
    ((cut, same),) = feed.passes(passes)
    assert (cut.int() - whole.int()).abs().max() <= 1
    assert torch.equal(labels, same)
    most = 0
    with pytest.raises(ConfigError, match="no memory for a single picture") as raised:
        next(feed.passes(passes))
    assert "\n" not in str(raised.value)
