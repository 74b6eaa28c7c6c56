"""The order of what CUDA is asked, recorded without CUDA, and the plain way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from extractor.transfers import Batch, Direct, Streamed, transfers_of

CPU = torch.device("cpu")


class FakeCuda:
    """Streams and events that write down what they are told."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.streams = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = self

        class Stream:
            def __init__(self, device: object = None) -> None:
                self.name = ("up", "down", "computing")[fake.streams]
                fake.streams += 1

            def wait_stream(self, other: Stream) -> None:
                fake.log.append(f"{self.name} waits for {other.name}")

        class Event:
            def record(self, stream: Stream) -> None:
                fake.log.append(f"event in {stream.name}")

            def synchronize(self) -> None:
                fake.log.append("host waits for event")

        @contextlib.contextmanager
        def inside(stream: Stream) -> Iterator[None]:
            fake.log.append(f"in {stream.name}:")
            yield
            fake.log.append("end")

        empty = torch.empty

        def pinned(*args: Any, pin_memory: bool = False, **kwargs: Any) -> torch.Tensor:
            fake.log.append(f"page-locked: {pin_memory}")
            return empty(*args, **kwargs)

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "stream", inside)
        monkeypatch.setattr(torch, "empty", pinned)
        monkeypatch.setattr(
            torch.Tensor,
            "record_stream",
            lambda self, stream: fake.log.append(f"memory used in {stream.name}"),
        )
        self.transfers = Streamed(CPU)
        computing = Stream()
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)


def squares(n: int) -> list[np.ndarray]:
    return list(np.random.default_rng(n).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8))


def test_copies_run_in_their_own_streams_and_only_the_fetch_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeCuda()
    fake.install(monkeypatch)
    pictures = squares(3)
    there = Batch(pictures).on(fake.transfers)
    up = [
        "page-locked: True",
        "in up:",
        "end",
        "computing waits for up",
        "memory used in computing",
    ]
    assert fake.log == up
    np.testing.assert_array_equal(there.numpy(), np.stack(pictures))

    fake.log.clear()
    rows = torch.arange(6.0).view(2, 3)
    fetch = fake.transfers.download(rows)
    down = ["page-locked: True", "down waits for computing", "in down:", "memory used in down"]
    assert fake.log == [*down, "event in down", "end"]
    np.testing.assert_array_equal(fetch(), rows.numpy())
    assert fake.log[-1] == "host waits for event"


def test_a_batch_is_copied_once_for_all() -> None:
    class Counting(Direct):
        uploads = 0

        def upload(self, host: torch.Tensor) -> torch.Tensor:
            self.uploads += 1
            return super().upload(host)

    transfers = Counting(CPU)
    batch = Batch(squares(2))
    assert batch.on(transfers) is batch.on(transfers)
    assert transfers.uploads == 1
    assert len(batch) == 2


def test_the_plain_way_changes_nothing() -> None:
    transfers = transfers_of(CPU)
    assert isinstance(transfers, Direct)
    assert transfers_of(CPU) is transfers
    values = torch.rand(3, 2)
    np.testing.assert_array_equal(transfers.download(values)(), values.numpy())
