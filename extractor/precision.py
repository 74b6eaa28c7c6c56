"""How a training computes on a device: type, memory layout, and whether its network is compiled."""

from __future__ import annotations

import contextlib
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from torch.utils import _triton

from extractor.device import AUTO

CompileSetting = bool | Literal["auto"]

WORTH_COMPILING = 5000
"""Passes of a training from which `auto` compiles: before, compiling takes longer than it saves.

An estimate, from a minute of compiling and some ten milliseconds that a pass may save.
"""

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def layout_on(device: torch.device) -> torch.memory_format:
    """Memory layout of pictures and convolutions in a training.

    On a CPU the training is a tenth slower with channels last (measured, resnet18 at 64 px).
    """
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def computing_in(
    dtype: torch.dtype, device: torch.device
) -> contextlib.AbstractContextManager[Any]:
    """Autocast below float32; nothing else."""
    if dtype is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def scaler_for(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Loss scaling of float16; disabled elsewhere.

    With a fused optimiser neither scaling nor skipping a step waits for the device.
    """
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)


def compiles(setting: CompileSetting, device: torch.device, passes: int) -> bool:
    """Whether a training compiles its network.

    Args:
        setting: As configured; `auto` is where it pays and can be done.
        device: Where the training is.
        passes: Forward and backward passes that it will have, at most.
    """
    if setting != AUTO:
        return setting
    return device.type == "cuda" and passes >= WORTH_COMPILING and _can_compile()


def compiled_if(wanted: bool, function: FunctionT) -> FunctionT:
    """The function, compiled anew for each shape of its input, or as it is.

    Passes of a training have two sizes that differ by one; kernels for any size are slower.
    """
    return cast(FunctionT, torch.compile(function, dynamic=False)) if wanted else function


def _can_compile() -> bool:
    """Whether all is there that PyTorch compiles for CUDA with."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    found = any(shutil.which(name) for name in ("cc", "gcc", "clang"))
    return bool(_triton.has_triton()) and found and headers.exists()
