"""One process, or the processes of `torchrun`: the same calls, so that no logic forks on it.

The launcher is PyTorch's own; it sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
Ranks meet through NCCL on CUDA and through gloo elsewhere. All ranks must see one file system:
the first one writes, the others read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from extractor.device import resolve_device
from extractor.workers import ALONE, Workers
from featurestore.errors import ConfigError, one_line

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_TIMEOUT = datetime.timedelta(hours=2)  # the others wait while the first reads or writes


@dataclasses.dataclass(frozen=True)
class ProcessGroup(Workers):
    """A rank among several of `torch.distributed`."""

    def device(self, name: str) -> torch.device:
        """Device of this process: ranks of a machine take its CUDA devices in order.

        Raises:
            ConfigError: The device is unknown or not there, or ranks outnumber CUDA devices.
        """
        device = resolve_device(name)
        if device.type != "cuda":
            return device
        if self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"{self.local_rank + 1} or more processes on a machine with "
                f"{torch.cuda.device_count()} CUDA devices: start one process a device"
            )
        return torch.device("cuda", self.local_rank)

    def owns(self, sha256: str) -> bool:
        """Whether this process does the work on a content; of each content one process does.

        Args:
            sha256: Digest in hexadecimal digits; without one the content is the first process's.
        """
        return int(sha256[:16] or "0", 16) % self.world_size == self.rank

    def barrier(self) -> None:
        """Waits until all processes are here."""
        self.from_first(0)

    def gather_texts(self, texts: Sequence[str]) -> list[str]:
        """Returns the texts of all processes in order of rank, on each."""
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        data = self.gather(torch.tensor(list(lines.encode()), dtype=torch.uint8))
        return [json.loads(line) for line in bytes(data.tolist()).decode().splitlines()]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up the gradients of all processes, in place on each.

        One call a step on one flat buffer. `DistributedDataParallel` would overlap it with the
        backward pass, but must be built anew whenever a block group is released, and averages
        ranks equally where their slices of a batch differ in size.
        """
        gradients = []
        for parameter in parameters:
            if parameter.grad is None:  # a rank whose slice was empty
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        if not gradients:
            return
        flat = torch.cat([g.reshape(-1) for g in gradients])
        with self._meeting():
            dist.all_reduce(flat)
        for gradient, part in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def gather(self, values: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Returns the rows (n, ...) of all processes in order of rank, on each.

        Args:
            values: Rows of this process; their number may differ between processes.
            counts: That number of each process, where it is known: else the host must wait for it.
        """
        own = values.to(self._meeting_device)
        if counts is None:
            counts = self._counts(own)
        padded = own.new_zeros((max(counts), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.zeros_like(padded) for _ in range(self.world_size)]
        with self._meeting():
            dist.all_gather(parts, padded)
        rows = [part[:count] for part, count in zip(parts, counts, strict=True)]
        return torch.cat(rows).to(values.device)

    def total(self, value: float) -> float:
        """Returns the sum over processes, the same on each."""
        return float(self.gather(torch.tensor([value], dtype=torch.float64)).sum())

    def longest(self, seconds: float) -> float:
        """Returns the largest of all processes' times, the same on each."""
        return float(self.gather(torch.tensor([seconds], dtype=torch.float64)).max())

    def from_first(self, value: int) -> int:
        """Returns the first process's value on each."""
        return int(self.gather(torch.tensor([value]))[0])

    def _counts(self, own: Tensor) -> list[int]:
        count = torch.tensor([len(own)], device=own.device)
        counts = [torch.zeros_like(count) for _ in range(self.world_size)]
        with self._meeting():
            dist.all_gather(counts, count)
        return [int(c) for c in counts]

    @contextlib.contextmanager
    def _meeting(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:  # of gloo, NCCL or the store that they met by
            raise ConfigError(
                f"process {self.rank} of {self.world_size} lost the others: one of them ended, "
                f"and what it reported is the cause"
            ) from None

    @property
    def _meeting_device(self) -> torch.device:
        if dist.get_backend() == "nccl":
            return torch.device("cuda", self.local_rank)
        return torch.device("cpu")


def joined() -> Workers:
    """The processes that this one works with now: those it joined, or itself alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    local = (int(os.environ.get(f"LOCAL_{n}", d)) for n, d in (("RANK", "0"), ("WORLD_SIZE", "1")))
    return ProcessGroup(dist.get_rank(), dist.get_world_size(), *local)


@contextlib.contextmanager
def workers_of_environment(
    device_name: str = "auto", environment: Mapping[str, str] = os.environ
) -> Iterator[Workers]:
    """Joins the processes that `torchrun` started, for the time of the block.

    Args:
        device_name: Device of the work: CUDA meets through NCCL, others through gloo.
        environment: Variables of the process; without WORLD_SIZE it is alone.

    Raises:
        ConfigError: The variables are incomplete, or the processes cannot meet.
    """
    if "WORLD_SIZE" not in environment:
        yield ALONE
        return
    missing = [name for name in _VARIABLES if name not in environment]
    if missing:
        raise ConfigError(f"WORLD_SIZE is set but not {', '.join(missing)}: start with torchrun")
    rank, world_size, local_rank = (int(environment[name]) for name in _VARIABLES[:3])
    if world_size == 1:
        yield ALONE
        return
    local_world_size = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    workers = ProcessGroup(rank, world_size, local_rank, local_world_size)
    device = workers.device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Default arguments of this module keep the group that exists when it is first imported, which
    # timm does. The group's threads would then outlive the block and abort the interpreter's end.
    importlib.import_module("torch.distributed.nn.functional")
    try:
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            rank=rank,
            world_size=world_size,
            timeout=_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        reason = one_line(error)
        raise ConfigError(f"the {world_size} processes cannot meet: {reason}") from None
    try:
        yield workers
    finally:
        dist.destroy_process_group()
