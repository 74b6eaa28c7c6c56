"""Where the forward pass runs, and the one decision how many images and threads it takes."""

from __future__ import annotations

import dataclasses
import re

import torch

from extractor.config import AUTO, BatchSize, EngineName, Precision
from extractor.cores import usable_cores
from extractor.engines import TORCH, require_engine
from featurestore.errors import ConfigError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_CPU_PASS_LIMIT = 16
_CPU_PASS_PIXELS = 4 * 224 * 224
_MPS_BATCH = 16
_DECODERS_BESIDE_CPU = 2  # forward passes take the cores
_MOST_DECODERS = 32
_PASSES_IN_FLIGHT = 3  # one computes, one is copied, one is fetched


@dataclasses.dataclass(frozen=True)
class ComputePlan:
    """How forward passes run.

    Attributes:
        device: The device.
        dtype: Type of the forward pass.
        batch_size: Images a forward pass where the device is not a CPU; `auto` is found from the
            memory of a CUDA device.
        threads: Forward passes side by side, each in one thread.
        decoders: Threads that decode, where the configuration names none.
        engine: What computes; `auto` is settled for each network by what its store begins with.
    """

    device: torch.device
    dtype: torch.dtype
    batch_size: BatchSize
    threads: int
    decoders: int = _DECODERS_BESIDE_CPU
    engine: EngineName = AUTO

    @property
    def dtype_name(self) -> str:
        """The type as an encoder identity states it, for example `float32`.

        What stands alone is PyTorch's float32 on a CPU, and what is below it on CUDA. All else
        differs from these in its bits, and says so: `float32, cuda`, `bfloat16, cpu`,
        `float32, openvino`.
        """
        name = str(self.dtype).removeprefix("torch.")
        if self.engine not in (AUTO, TORCH):
            return f"{name}, {self.engine}"
        if self.shares_batches:
            return f"{name}, cuda" if name == "float32" else name
        return name if name == "float32" else f"{name}, {self.device.type}"

    @property
    def shares_batches(self) -> bool:
        """Whether networks look at one batch that was copied to the device once (CUDA).

        On a CPU there is nothing to copy, and each network has passes of its own size.
        """
        return self.device.type == "cuda"

    @property
    def in_flight(self) -> int:
        """Passes that may be under way at a time."""
        return _PASSES_IN_FLIGHT if self.shares_batches else self.threads

    def pass_size(self, image_size: int) -> int | None:
        """Images of `image_size` x `image_size` pixels in a forward pass; shorter ones are padded.

        On a CPU it depends on the image size only: kernels round differently for another number
        of rows (those of squeeze-and-excitation do), so the configured batch size would change
        bits. Passes are small there because activations above 32 MB are returned to the system
        and faulted in again at every layer; the cores are filled by passes side by side.

        Returns:
            None where it is to be found from the memory of the device.
        """
        if self.device.type == "cpu":
            return max(1, min(_CPU_PASS_LIMIT, _CPU_PASS_PIXELS // image_size**2))
        if self.batch_size != AUTO:
            return self.batch_size
        return None if self.shares_batches else _MPS_BATCH

    def shared(self, processes: int) -> ComputePlan:
        """The plan of one of several processes on this machine, which share its cores."""
        threads, decoders = (max(1, n // processes) for n in (self.threads, self.decoders))
        return dataclasses.replace(self, threads=threads, decoders=decoders)


def plan_compute(
    device_name: str,
    batch_size: BatchSize = AUTO,
    precision: Precision = AUTO,
    engine: EngineName = AUTO,
) -> ComputePlan:
    """Decides device, precision, engine and shape of the forward passes.

    Args:
        device_name: `auto` (CUDA, then MPS, then CPU), `cpu`, `mps`, `cuda` or `cuda:N`.
        batch_size: Images a forward pass on CUDA and MPS.
        precision: Type of the forward pass; `auto` is bfloat16 (older cards: float16) on CUDA and
            float32 elsewhere.
        engine: What computes; `auto` is PyTorch, unless `extractor.continuing` says otherwise.

    Raises:
        ConfigError: A name is unknown, this machine has no such device or engine, or these do not
            compute in this precision.
    """
    device = resolve_device(device_name)
    if device.type == "cpu":
        dtype = torch.float32 if precision == AUTO else DTYPES[precision]
    else:
        dtype = dtype_on(device, precision, "extract.precision")
    require_engine(TORCH if engine == AUTO else engine, device, dtype)
    if device.type == "cpu":
        return ComputePlan(device, dtype, batch_size, usable_cores(), engine=engine)
    if device.type == "mps":
        return ComputePlan(device, dtype, batch_size, 1, engine=engine)
    decoders = min(usable_cores(), _MOST_DECODERS)
    return ComputePlan(device, dtype, batch_size, 1, decoders, engine)


def dtype_on(device: torch.device, precision: Precision, setting: str) -> torch.dtype:
    """The type that a network computes in.

    Args:
        device: Where it computes.
        precision: As configured.
        setting: Where it was configured, for the error.

    Raises:
        ConfigError: The device computes in float32 only.
    """
    if device.type != "cuda":
        if precision not in (AUTO, "float32"):
            raise ConfigError(
                f"{setting} {precision} needs a CUDA device, and this is "
                f"{device.type}: set it to auto"
            )
        return torch.float32
    if precision == AUTO:
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    return DTYPES[precision]


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
