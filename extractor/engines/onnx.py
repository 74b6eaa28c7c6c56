"""ONNX Runtime on a CPU (extra `onnx`)."""

from __future__ import annotations

import torch
from torch import Tensor

from extractor.engines.base import Forward, Task
from extractor.engines.graph import INPUT, OUTPUT, exported, not_computed


class OnnxEngine:
    """One session, which computes in the thread that asks it."""

    name = "onnx"
    extra = "onnx"
    packages: tuple[str, ...] = ("onnxruntime", "onnx")

    def cpu_types(self) -> tuple[torch.dtype, ...]:
        """float32: its kernels for CPUs have no bfloat16."""
        return (torch.float32,)

    def load(self, task: Task) -> Forward:
        """Reads and optimises the graph of a network.

        Raises:
            ConfigError: ONNX Runtime does not take the graph.
        """
        import onnxruntime

        graph = exported(task, "ONNX Runtime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        try:
            session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common parent but this one
            raise not_computed(task, "ONNX Runtime", error) from None

        def forward(pixels: Tensor) -> Tensor:
            return torch.from_numpy(session.run([OUTPUT], {INPUT: pixels.numpy()})[0])

        return forward
