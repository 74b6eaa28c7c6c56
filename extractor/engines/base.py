"""What an inference engine is: it makes a network ready and gives back its forward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]
"""A pass: uint8 (rows, size, size, 3) on the device to float32 (rows, dimension) there.

Several threads may call it at a time, each in a thread where torch computes with one.
"""


@dataclasses.dataclass(frozen=True)
class Task:
    """What is made ready.

    Attributes:
        name: Name of the network, for errors.
        module: timm model without classifier, in evaluation mode and on the CPU; not changed.
        mean: Of the red, green and blue of pixels in 0 to 1, to be subtracted.
        std: What is divided by then.
        size: Side of the square input in pixels.
        rows: Pictures of a pass; None where it varies, which only torch is asked for.
        device: Where it computes.
        dtype: Type of the forward pass.
        threads: Passes that are under way at a time, each in one thread.
    """

    name: str
    module: nn.Module
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int
    rows: int | None
    device: torch.device
    dtype: torch.dtype
    threads: int


class Engine(Protocol):
    """An inference engine; `extractor.engines.ENGINES` lists them.

    Attributes:
        name: As in `extract.engine`; part of the identity of what it computes, but for torch.
        extra: Extra of melafuse that brings its packages; empty for torch.
        packages: What must be importable.
    """

    name: str
    extra: str
    packages: tuple[str, ...]

    def cpu_types(self) -> tuple[torch.dtype, ...]:
        """Types that it computes in on the CPU of this machine, with hardware for them."""

    def load(self, task: Task) -> Forward:
        """Makes a network ready.

        Raises:
            ConfigError: The engine cannot compute this network.
        """


class Normalised(nn.Module):
    """A network that is given pixels as they were decoded: uint8 (n, size, size, 3)."""

    def __init__(self, task: Task, module: Any, layout: torch.memory_format) -> None:
        super().__init__()
        self.module = module
        self.layout = layout
        self.mean = nn.Buffer(torch.tensor(task.mean).view(1, 3, 1, 1))
        self.std = nn.Buffer(torch.tensor(task.std).view(1, 3, 1, 1))

    def inputs(self, pixels: Tensor) -> Tensor:
        """What the network was trained on: float32 (n, 3, size, size)."""
        values = pixels.permute(0, 3, 1, 2).float() / 255.0
        return ((values - self.mean) / self.std).contiguous(memory_format=self.layout)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings, float32 (n, dimension)."""
        features = self.module.forward_features(self.inputs(pixels))
        # Pooled in full precision, so that a mean over the map is not rounded to 8 bits.
        return self.module.forward_head(features.float()).float()
