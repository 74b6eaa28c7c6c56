"""A network as an ONNX graph in memory: what engines other than PyTorch read."""

from __future__ import annotations

import io
import threading
import warnings
from typing import Any

import torch

from extractor.engines.base import Normalised, Task
from featurestore.errors import ConfigError, one_line

INPUT = "pixels"
OUTPUT = "embedding"
_ONE_AT_A_TIME = threading.Lock()  # the exporter keeps its settings in globals


def exported(task: Task, engine: str) -> bytes:
    """Exports a network with its normalisation; its one input is uint8 (rows, size, size, 3).

    The exporter is the one that traces; its successor needs two more packages. Torch is pinned to
    a release line that has both.

    Args:
        task: What is exported.
        engine: Who reads it, for the error.

    Raises:
        ConfigError: The network cannot be traced, or is above 2 GB.
    """
    network = Normalised(task, task.module, torch.contiguous_format).eval()
    example = torch.zeros((task.rows or 1, task.size, task.size, 3), dtype=torch.uint8)
    graph: Any = io.BytesIO()  # which the exporter takes, though its types do not say so
    with _ONE_AT_A_TIME, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of what is deprecated, and of branches that it follows
        try:
            torch.onnx.export(
                network,
                (example,),
                graph,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamo=False,
            )
        except Exception as error:  # operators raise what they like
            raise not_computed(task, engine, error) from None
    return graph.getvalue()


def not_computed(task: Task, engine: str, error: Exception) -> ConfigError:
    """The error of a network that an engine does not take."""
    return ConfigError(
        f"{engine} cannot compute {task.name}: {one_line(error)[:200]}; set extract.engine to torch"
    )
