"""OpenVINO on a CPU (extra `openvino`)."""

from __future__ import annotations

import functools
import queue
from typing import Any

import torch
from torch import Tensor

from extractor.engines.base import Forward, Task
from extractor.engines.graph import exported, not_computed

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoEngine:
    """A stream of one thread for each pass that is under way."""

    name = "openvino"
    extra = "openvino"
    packages: tuple[str, ...] = ("openvino", "onnx")

    def cpu_types(self) -> tuple[torch.dtype, ...]:
        """float32, and bfloat16 where the CPU has instructions for it."""
        native = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return (torch.float32, torch.bfloat16) if native else (torch.float32,)

    def load(self, task: Task) -> Forward:
        """Reads and compiles the graph of a network.

        Raises:
            ConfigError: OpenVINO does not take the graph.
        """
        graph = exported(task, "OpenVINO")
        settings = {
            # Its own default is bfloat16 wherever the CPU has it.
            "INFERENCE_PRECISION_HINT": _HINTS[task.dtype],
            "NUM_STREAMS": task.threads,
            "INFERENCE_NUM_THREADS": task.threads,
            # Processes that share a machine would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = _core().compile_model(_core().read_model(graph), "CPU", settings)
        except RuntimeError as error:
            raise not_computed(task, "OpenVINO", error) from None
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(task.threads):
            requests.put(compiled.create_infer_request())

        def forward(pixels: Tensor) -> Tensor:
            request = requests.get()
            try:
                request.infer([pixels.numpy()], share_inputs=True)
                return torch.from_numpy(request.get_output_tensor().data.copy())
            finally:
                requests.put(request)

        return forward


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()
