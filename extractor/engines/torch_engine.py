"""PyTorch: on every device, and what other engines are compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from extractor.batchnorm import fold_batchnorm
from extractor.engines.base import Forward, Normalised, Task

_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")
"""Names of PyTorch for a CPU's instructions; without them bfloat16 is emulated, and slow."""


class TorchEngine:
    """Eager PyTorch with folded batch normalisation."""

    name = "torch"
    extra = ""
    packages: tuple[str, ...] = ("torch",)

    def cpu_types(self) -> tuple[torch.dtype, ...]:
        """float32, and bfloat16 where the CPU has instructions for it."""
        has = torch.cpu.get_capabilities()
        native = any(has.get(name) for name in _BFLOAT16)
        return (torch.float32, torch.bfloat16) if native else (torch.float32,)

    def load(self, task: Task) -> Forward:
        """Folds the network and puts it on the device."""
        shape = (2, 3, task.size, task.size)
        example = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        folded = fold_batchnorm(task.module, example)
        # Measured to gain on CPU, customary on CUDA; nothing is known of MPS, so left alone there.
        layout = torch.contiguous_format if task.device.type == "mps" else torch.channels_last
        network = Normalised(task, folded.to(task.device).to(memory_format=layout), layout)
        network.to(task.device)

        def forward(pixels: Tensor) -> Tensor:
            inputs = network.inputs(pixels)
            with _precision(task):
                features = network.module.forward_features(inputs)
            return network.module.forward_head(features.float()).float()

        return forward


@contextlib.contextmanager
def _precision(task: Task) -> Iterator[None]:
    if task.dtype is not torch.float32:
        with torch.autocast(task.device.type, dtype=task.dtype):
            yield
    elif task.device.type == "cuda":  # else convolutions would round to ten bits (TF32)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    else:
        yield
