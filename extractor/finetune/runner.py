"""Forward and backward passes, cut into smaller ones where a device runs out of memory.

The gradient of an optimiser step is a sum over its images, so it does not depend on how they are
cut. Batch normalisation whose statistics are trained does: it sees one part at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from extractor.finetune.feed import Fed
from extractor.finetune.parts import Parts
from extractor.precision import computing_in, layout_on


class Runner:
    """Runs the passes of a training on its device; nothing in it waits for the device."""

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        label_smoothing: float,
        trains_statistics: bool,
        recovers: bool,
    ) -> None:
        """Takes passes whole, until memory runs out.

        Args:
            device: Where the network is.
            dtype: What it computes in.
            label_smoothing: Labels become `y (1 - s) + s / 2`.
            trains_statistics: Whether batch normalisation takes its statistics from a pass.
            recovers: Whether passes may be cut; not where other processes take part in each.
        """
        self._device, self._dtype = device, dtype
        self._layout = layout_on(device)
        self._smoothing = label_smoothing
        caveat = "batch normalisation learns from as few" if trains_statistics else ""
        self._parts = Parts(device, recovers, caveat)

    @property
    def notice(self) -> str:
        """What became of the passes where memory ran out, for people; empty if nothing."""
        return self._parts.notice

    def gradients(
        self,
        forward: Callable[[Tensor], Tensor],
        passes: Iterator[Fed],
        n: int,
        begin: Callable[[], None],
        backward: Callable[[Tensor], None],
    ) -> list[Tensor]:
        """Accumulates the gradient of one optimiser step.

        Where memory runs out, the step begins again with passes cut in halves, and later steps are
        cut too. Statistics of batch normalisation have then seen the first of its pictures twice.

        Args:
            forward: Logits (m,) of pixels, uint8 (m, 3, size, size).
            passes: Passes to come.
            n: Number of them that the step takes.
            begin: Called before the first pass, also when the step begins again.
            backward: Called with the loss of each part.

        Returns:
            The loss of each part, summed over its images, on the device.

        Raises:
            ConfigError: There is no memory for one picture, or passes cannot be cut here.
        """
        taken: list[Fed] = []

        def all_passes() -> Iterator[Fed]:
            yield from list(taken)
            for _ in range(n - len(taken)):
                one = next(passes)
                if self._parts.recovers:
                    taken.append(one)
                yield one

        return self._parts.run(lambda: self._sweep(forward, all_passes(), begin, backward))

    def logits(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Logits (m,) of float32 without gradients, of pixels on the device.

        Raises:
            ConfigError: There is no memory for one picture.
        """
        return self._parts.run(
            lambda: torch.cat([self._forward(model, part) for part in self._parts.of(pixels)])
        )

    def _sweep(
        self,
        forward: Callable[[Tensor], Tensor],
        passes: Iterable[Fed],
        begin: Callable[[], None],
        backward: Callable[[Tensor], None],
    ) -> list[Tensor]:
        begin()
        losses = []
        for pixels, labels in passes:
            parts = self._parts.of(pixels)
            for part, known in zip(parts, labels.tensor_split(len(parts)), strict=True):
                loss = self._loss(self._forward(forward, part), known)
                backward(loss)
                losses.append(loss.detach())
        return losses

    def _forward(self, forward: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        with computing_in(self._dtype, self._device):
            logits = forward(pixels.contiguous(memory_format=self._layout))
        return logits.float()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over images of the cross-entropy with smoothed labels."""
        smoothed = labels * (1 - self._smoothing) + self._smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="sum")
