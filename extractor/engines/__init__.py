"""Inference engines: one small protocol, one registry; a new one is one file and one line here."""

from __future__ import annotations

import importlib.util

import torch

from extractor.engines.base import Engine, Forward, Task
from extractor.engines.onnx import OnnxEngine
from extractor.engines.openvino import OpenVinoEngine
from extractor.engines.torch_engine import TorchEngine
from featurestore.errors import ConfigError

TORCH = "torch"

ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (TorchEngine(), OpenVinoEngine(), OnnxEngine())
}
"""Every engine by name, PyTorch first."""


def lacking(engine: Engine) -> tuple[str, ...]:
    """Packages of an engine that are not installed; nothing is imported."""
    return tuple(p for p in engine.packages if importlib.util.find_spec(p) is None)


def require_engine(name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Refuses an engine that cannot compute here.

    Raises:
        ConfigError: Its packages are missing, it does not know the device, or the CPU of this
            machine has no hardware for the type.
    """
    engine = ENGINES[name]
    absent = lacking(engine)
    if absent:
        raise ConfigError(
            f"extract.engine {name} needs {' and '.join(absent)}: pip install "
            f"'melafuse[{engine.extra}]', or set it to torch"
        )
    if device.type != "cpu":
        if name != TORCH:
            raise ConfigError(
                f"extract.engine {name} computes on a CPU, and this is {device.type}: set it to "
                "torch, or extract.device to cpu"
            )
        return
    types = engine.cpu_types()
    if dtype not in types:
        able = " and ".join(str(t).removeprefix("torch.") for t in types)
        asked = str(dtype).removeprefix("torch.")
        raise ConfigError(
            f"extract.precision {asked}: {name} on this CPU computes in {able}: set it to auto"
        )


__all__ = ["ENGINES", "TORCH", "Engine", "Forward", "Task", "lacking", "require_engine"]
