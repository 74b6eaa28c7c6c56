"""Forward and backward passes, cut into smaller ones where a device runs out of memory.

The gradient of an optimiser step is a sum over its images, so it does not depend on how they are
cut. Batch normalisation whose statistics are trained does: it sees one part at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from extractor import memory
from extractor.finetune.feed import Fed
from extractor.precision import computing_in, layout_on
from featurestore.errors import ConfigError, one_line

ResultT = TypeVar("ResultT")


class Runner:
    """Runs the passes of a training on its device; nothing in it waits for the device.

    Attributes:
        notice: What became of the passes where memory ran out, for people; empty if nothing.
    """

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
        self.notice = ""
        self._device, self._dtype = device, dtype
        self._layout = layout_on(device)
        self._smoothing = label_smoothing
        self._trains_statistics = trains_statistics
        self._recovers = recovers
        self._most: int | None = None
        self._largest = 0

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
                if self._recovers:
                    taken.append(one)
                yield one

        while True:
            losses = self._recovering(lambda: self._sweep(forward, all_passes(), begin, backward))
            if losses is not None:
                return losses

    def logits(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Logits (m,) of float32 without gradients, of pixels on the device.

        Raises:
            ConfigError: There is no memory for one picture.
        """
        while True:
            found = self._recovering(
                lambda: torch.cat([self._forward(model, part) for part in self._parts(pixels)])
            )
            if found is not None:
                return found

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
            parts = self._parts(pixels)
            for part, known in zip(parts, labels.tensor_split(len(parts)), strict=True):
                loss = self._loss(self._forward(forward, part), known)
                backward(loss)
                losses.append(loss.detach())
        return losses

    def _parts(self, pixels: Tensor) -> tuple[Tensor, ...]:
        self._largest = max(self._largest, len(pixels))
        if self._most is None or len(pixels) <= self._most:
            return (pixels,)
        return pixels.tensor_split(-(-len(pixels) // self._most))

    def _forward(self, forward: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        with computing_in(self._dtype, self._device):
            logits = forward(pixels.contiguous(memory_format=self._layout))
        return logits.float()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over images of the cross-entropy with smoothed labels."""
        smoothed = labels * (1 - self._smoothing) + self._smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="sum")

    def _recovering(self, run: Callable[[], ResultT]) -> ResultT | None:
        """What the run returns; None where memory ran out, and passes are smaller from then on."""
        try:
            return run()
        except torch._dynamo.exc.TorchDynamoException as error:
            raise ConfigError(
                f"the network cannot be compiled here: {one_line(error)}: set compile to false"
            ) from None
        except RuntimeError as error:
            if not memory.is_out_of_memory(error):
                raise
        memory.release_memory()  # after the error, which holds the tensors of the pass
        self._take_less()
        return None

    def _take_less(self) -> None:
        before = self._largest if self._most is None else min(self._most, self._largest)
        if not self._recovers or before <= 1:
            what = "for a single picture" if before <= 1 else f"for passes of {before} pictures"
            raise ConfigError(
                f"{self._device} has no memory {what}: lower batch_size, end what else uses the "
                f"device, or set device to cpu"
            )
        self._most = before // 2
        caveat = "; batch normalisation learns from as few" if self._trains_statistics else ""
        self.notice = (
            f"{self._device} ran out of memory: passes are cut to {self._most} pictures, "
            f"steps stay as large{caveat}"
        )
