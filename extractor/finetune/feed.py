"""What a training is fed with: pictures varied by the host, or on the device that trains.

Both draw the same numbers from the same seeds. A CPU, and a pipeline of somebody else's, vary one
picture at a time (`batches.load_passes`); CUDA varies whole passes, beside what it computes, while
threads of the host draw and gather what comes next.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from extractor.finetune.augment import Augmenter, OwnAugmenter
from extractor.finetune.batches import Pass, Pictures, load_passes
from extractor.finetune.parts import Parts
from extractor.finetune.shelf import Shelf, shelf_of
from extractor.finetune.varied import numbers_of, varied
from extractor.precision import compiled_if
from extractor.stages import in_order, worker_threads
from extractor.transfers import transfers_of

_HOST_WORKERS = 4  # beside CUDA, where the host must vary pictures
_GATHERERS = 2
_AHEAD = 4  # passes that are drawn and gathered before they are needed

Fed = tuple[Tensor, Tensor]
"""Pixels (m, 3, size, size) of uint8 and labels (m,) of a pass, on the device."""


class Feed(Protocol):
    """Where a training takes its passes from."""

    def passes(self, passes: Sequence[Pass]) -> Iterator[Fed]:
        """Yields pixels and labels of each pass; the device may still be computing them."""


def feed_of(
    pictures: Pictures,
    augment: Augmenter,
    workers: int | None,
    device: torch.device,
    compiled: bool = False,
) -> Feed:
    """Decides who varies pictures.

    Args:
        pictures: Larger than what the network takes, by what augmentation cuts off.
        augment: Makes a training picture.
        workers: Processes of the host that vary pictures; None is none where CUDA can do it, 4
            beside CUDA where it cannot, and none elsewhere.
        device: Where the training is.
        compiled: Whether the augmentation on the device is compiled.
    """
    if workers is None and varies(device) and isinstance(augment, OwnAugmenter):
        return DeviceFeed(pictures, augment, device, compiled)
    beside = _HOST_WORKERS if device.type == "cuda" else 0
    return HostFeed(pictures, augment, beside if workers is None else workers, device)


def varies(device: torch.device) -> bool:
    """Whether a device varies pictures itself."""
    return device.type == "cuda"


@dataclasses.dataclass(frozen=True)
class HostFeed:
    """Pictures are varied one by one, in this process or in workers.

    Attributes:
        pictures: What passes are taken from.
        augment: Makes a training picture.
        workers: Processes beside this one.
        device: Where passes go.
    """

    pictures: Pictures
    augment: Augmenter
    workers: int
    device: torch.device

    def passes(self, passes: Sequence[Pass]) -> Iterator[Fed]:
        """Yields pixels and labels of each pass."""
        return load_passes(self.pictures, passes, self.augment, self.workers, self.device)


class DeviceFeed:
    """Pictures are varied on the device, a pass at a time."""

    def __init__(
        self,
        pictures: Pictures,
        augment: OwnAugmenter,
        device: torch.device,
        compiled: bool = False,
    ) -> None:
        """Puts the pictures where the device reaches them; see `feed_of`."""
        assert augment.size is not None
        self._augment, self._side, self._device = augment, augment.size, device
        self._labels = pictures.labels.astype(np.float32)
        self._shelf: Shelf = shelf_of(pictures.squares, device)
        self._transfers = transfers_of(device)
        self._parts = Parts(device, recovers=True)
        self._varied = compiled_if(compiled, varied)

    def passes(self, passes: Sequence[Pass]) -> Iterator[Fed]:
        """Yields pixels and labels of each pass; the device may still be computing them.

        Raises:
            ConfigError: The device has no memory left for a single picture.
        """
        with worker_threads(_GATHERERS) as pool:
            for fetched in in_order(pool, self._fetch, passes, _AHEAD):
                yield self._parts.run(functools.partial(self._give, fetched))

    def _fetch(self, part: Pass) -> tuple[Tensor, Tensor, Tensor] | None:
        """Pictures or their numbers, numbers of the augmentation, and labels, on the host."""
        if not len(part.rows):
            return None
        table = numbers_of(self._augment.config, part.seeds.tolist(), self._side)
        return self._shelf.fetch(part.rows), self._kept(table), self._kept(self._labels[part.rows])

    def _give(self, fetched: tuple[Tensor, Tensor, Tensor] | None) -> Fed:
        if fetched is None:  # a process without a part of the pass
            shape = (0, 3, self._side, self._side)
            none = torch.empty(shape, dtype=torch.uint8, device=self._device)
            return none, torch.empty(0, device=self._device)
        squares, table, labels = fetched
        pictures = self._shelf.give(squares)
        table, labels = self._transfers.upload(table), self._transfers.upload(labels)
        parts = self._parts.of(pictures)
        made = [
            self._varied(part, numbers, self._augment.config, self._side)
            for part, numbers in zip(parts, table.tensor_split(len(parts)), strict=True)
        ]
        return made[0] if len(made) == 1 else torch.cat(made), labels

    def _kept(self, values: np.ndarray) -> Tensor:
        host = self._transfers.host_buffer(values.shape, torch.float32)
        host.numpy()[:] = values
        return host
