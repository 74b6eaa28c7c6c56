"""The processes that work together, where it is one: what the calls are, without torch.

`extractor.distributed` has those of `torchrun`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from extractor.config import AUTO, BatchSize, EngineName, Precision

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from extractor.device import ComputePlan


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes that work together; this class is a process alone.

    Attributes:
        rank: Number of this process, from 0.
        world_size: Number of processes.
        local_rank: Number of this process on its machine.
        local_world_size: Number of processes on its machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Device of this process: ranks of a machine take its CUDA devices in order.

        Raises:
            ConfigError: The device is unknown or not there, or ranks outnumber CUDA devices.
        """
        from extractor.device import resolve_device

        return resolve_device(name)

    def plan(
        self,
        device_name: str,
        batch_size: BatchSize = AUTO,
        precision: Precision = AUTO,
        engine: EngineName = AUTO,
    ) -> ComputePlan:
        """How this process's forward passes run; processes of a machine share its cores.

        Args:
            device_name: As for `device`.
            batch_size: Images a forward pass where the device is not a CPU.
            precision: Type of the forward pass.
            engine: What computes.

        Raises:
            ConfigError: Device or engine are unknown or not there, do not compute in this
                precision, or ranks outnumber CUDA devices.
        """
        from extractor.device import plan_compute

        plan = plan_compute(str(self.device(device_name)), batch_size, precision, engine)
        return plan.shared(self.local_world_size)

    def owns(self, sha256: str) -> bool:
        """Whether this process does the work on a content; of each content one process does.

        Args:
            sha256: Digest in hexadecimal digits; without one the content is the first process's.
        """
        return True

    def barrier(self) -> None:
        """Waits until all processes are here."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up the gradients of all processes, in place on each."""

    def gather_texts(self, texts: Sequence[str]) -> list[str]:
        """Returns the texts of all processes in order of rank, on each."""
        return list(texts)

    def gather(self, values: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Returns the rows (n, ...) of all processes in order of rank, on each.

        Args:
            values: Rows of this process; their number may differ between processes.
            counts: That number of each process, where it is known: else the host must wait for it.
        """
        return values

    def total(self, value: float) -> float:
        """Returns the sum over processes, the same on each."""
        return float(value)

    def longest(self, seconds: float) -> float:
        """Returns the largest of all processes' times, the same on each."""
        return float(seconds)

    def from_first(self, value: int) -> int:
        """Returns the first process's value on each."""
        return value


ALONE = Workers()
"""A single process."""
