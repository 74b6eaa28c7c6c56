"""Where the forward pass runs, and the one decision how many images and threads it takes."""

from __future__ import annotations

import dataclasses
import os
import re

import torch

from featurestore.errors import ConfigError

_CPU_PASS_LIMIT = 16
_CPU_PASS_PIXELS = 4 * 224 * 224


@dataclasses.dataclass(frozen=True)
class ComputePlan:
    """How forward passes run.

    Attributes:
        device: The device.
        dtype: Type of the forward pass; below float32 only under CUDA's autocast.
        batch_size: Images a forward pass where the device is not a CPU.
        threads: Forward passes side by side, each in one thread.
    """

    device: torch.device
    dtype: torch.dtype
    batch_size: int
    threads: int

    @property
    def dtype_name(self) -> str:
        """The type as an encoder identity states it, for example `float32`."""
        return str(self.dtype).removeprefix("torch.")

    def pass_size(self, image_size: int) -> int:
        """Images of `image_size` x `image_size` pixels in a forward pass; shorter ones are padded.

        On a CPU it depends on the image size only: kernels round differently for another number
        of rows (those of squeeze-and-excitation do), so the configured batch size would change
        bits. Passes are small there because activations above 32 MB are returned to the system
        and faulted in again at every layer; the cores are filled by passes side by side.
        """
        if self.device.type != "cpu":
            return self.batch_size
        return max(1, min(_CPU_PASS_LIMIT, _CPU_PASS_PIXELS // image_size**2))


def plan_compute(device_name: str, batch_size: int) -> ComputePlan:
    """Decides device, precision and shape of the forward passes.

    Args:
        device_name: `auto` (CUDA, then MPS, then CPU), `cpu`, `mps`, `cuda` or `cuda:N`.
        batch_size: Images a forward pass on CUDA and MPS.

    Raises:
        ConfigError: The name is unknown, or this machine has no such device.
    """
    device = resolve_device(device_name)
    if device.type == "cpu":
        return ComputePlan(device, torch.float32, batch_size, _usable_cores())
    if device.type == "mps":
        return ComputePlan(device, torch.float32, batch_size, 1)
    native_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    dtype = torch.bfloat16 if native_bfloat16 else torch.float16
    return ComputePlan(device, dtype, batch_size, 1)


def resolve_device(name: str) -> torch.device:
    """Turns a configured device name into a device of this machine.

    Raises:
        ConfigError: The name is unknown, or this machine has no such device.
    """
    available = _available_devices()
    if name == "auto":
        return torch.device(available[0])
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ConfigError(f"device {name!r} is unknown: allowed are auto, cpu, mps, cuda, cuda:N")
    if name not in available and not (name == "cuda" and "cuda:0" in available):
        raise ConfigError(
            f"device {name!r} is not available: this machine has {', '.join(available)}"
        )
    return torch.device("cuda:0" if name == "cuda" else name)


def _available_devices() -> list[str]:
    """Lists the devices of this machine, the preferred one first."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
