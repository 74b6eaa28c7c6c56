"""A CUDA device played by the CPU: its plan, its memory that runs out, and a network of sums."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from extractor import memory
from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig
from extractor.device import ComputePlan


@dataclasses.dataclass(frozen=True)
class CardPlan(ComputePlan):
    """What a CUDA device is planned for, on the CPU."""

    @property
    def shares_batches(self) -> bool:
        return True

    def pass_size(self, image_size: int) -> int | None:
        return None if self.batch_size == "auto" else self.batch_size


def card_plan(batch_size: int | str = "auto") -> CardPlan:
    """Several passes in flight, two decoding threads."""
    return CardPlan(torch.device("cpu"), torch.float32, batch_size, 1, 2)  # type: ignore[arg-type]


class Sums(nn.Module):
    """Means over the picture: of a row, and of nothing beside it, to the bit."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.full((1, 1, 1, 1), weight))

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.cat([x, (x * self.weight).sin()], dim=1)

    def forward_head(self, x: Tensor) -> Tensor:
        return torch.stack([row.double().mean(dim=(1, 2)).float() for row in x])

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def sums_backbone(weight: float, name: str) -> Backbone:
    """A backbone whose embeddings depend on no kernel's choice."""
    config = BackboneConfig(name="test_resnet", weights="random", image_size=32)
    basis = load_backbone(config, 0, Path())
    return dataclasses.replace(basis, name=name, module=Sums(weight), dimension=6)


@contextmanager
def memory_of(
    monkeypatch: pytest.MonkeyPatch, images: int, free: int = 10**6
) -> Iterator[list[int]]:
    """Passes of more images run out; yields the sizes of all passes that were tried.

    Args:
        monkeypatch: Undone at the end.
        images: Most images of a pass.
        free: Bytes that are free; an image takes a thousand.
    """
    tried: list[int] = []
    forward = Sums.forward_features

    def limited(self: Sums, x: Tensor) -> Tensor:
        if len(x) == 2:  # the example that an encoder is made with
            return forward(self, x)
        tried.append(len(x))
        if len(x) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return forward(self, x)

    def peak_of_run(device: torch.device, run: Callable[[], object]) -> int:
        run()
        return 1000 * tried[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Sums, "forward_features", limited)
        patch.setattr(memory, "free_memory", lambda device: free)
        patch.setattr(memory, "peak_of_run", peak_of_run)
        yield tried
