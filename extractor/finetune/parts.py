"""How many pictures a training pass has, and what is done where a device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from extractor import memory
from featurestore.errors import ConfigError, one_line

ResultT = TypeVar("ResultT")


class Parts:
    """Passes are whole until memory runs out, and are cut in halves from then on.

    Attributes:
        most: Pictures of a part, at most; None where passes are whole.
        notice: What became of the passes, for people; empty if nothing.
    """

    def __init__(self, device: torch.device, recovers: bool, caveat: str = "") -> None:
        """Begins with whole passes.

        Args:
            device: Where the network is.
            recovers: Whether passes may be cut; not where other processes take part in each.
            caveat: What else cut passes change, for people; empty if nothing.
        """
        self.most: int | None = None
        self.notice = ""
        self.recovers = recovers
        self._device, self._caveat = device, caveat
        self._largest = 0

    def of(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """A pass (m, ...) in parts that differ in size by one at most."""
        self._largest = max(self._largest, len(pixels))
        if self.most is None or len(pixels) <= self.most:
            return (pixels,)
        return pixels.tensor_split(-(-len(pixels) // self.most))

    def run(self, once: Callable[[], ResultT]) -> ResultT:
        """Returns what a run returns; where memory runs out, it begins again with smaller parts.

        What networks draw (dropout) is then drawn again as it was.

        Raises:
            ConfigError: There is no memory for a single picture, passes cannot be cut here, or
                the network cannot be compiled.
        """
        state = _random_state(self._device) if self.recovers else None
        result = self._attempt(once)
        while result is None:
            assert state is not None
            _restore(state, self._device)
            result = self._attempt(once)
        return result

    def _attempt(self, run: Callable[[], ResultT]) -> ResultT | None:
        """What the run returns; None where memory ran out, and parts are smaller now."""
        try:
            return run()
        except RuntimeError as error:
            if not memory.is_out_of_memory(error):
                _tell_if_not_compiled(error)
                raise
        memory.release_memory()  # after the error, which holds the tensors of the pass
        self._take_less()
        return None

    def _take_less(self) -> None:
        before = self._largest if self.most is None else min(self.most, self._largest)
        if not self.recovers or before <= 1:
            what = "for a single picture" if before <= 1 else f"for passes of {before} pictures"
            raise ConfigError(
                f"{self._device} has no memory {what}: lower batch_size, end what else uses the "
                f"device, or set device to cpu"
            )
        self.most = before // 2
        caveat = f"; {self._caveat}" if self._caveat else ""
        self.notice = (
            f"{self._device} ran out of memory: passes are cut to {self.most} pictures, "
            f"steps stay as large{caveat}"
        )


def _tell_if_not_compiled(error: RuntimeError) -> None:
    if isinstance(error, torch._dynamo.exc.TorchDynamoException):
        raise ConfigError(
            f"the network cannot be compiled here: {one_line(error)}: set compile to false"
        ) from None


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """States of the generators of host and device; the host keeps both, nothing waits."""
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_device


def _restore(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    on_host, on_device = state
    torch.set_rng_state(on_host)
    if on_device is not None:
        torch.cuda.set_rng_state(on_device, device)
