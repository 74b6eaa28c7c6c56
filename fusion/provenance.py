"""Where and with what a run was made."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterable

PACKAGES = (
    "melafuse",
    "torch",
    "torchvision",
    "timm",
    "h5py",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "lightgbm",
    "optuna",
    "pillow",
)


ENGINES = {"openvino": "openvino", "onnx": "onnxruntime"}
"""Packages of inference engines other than PyTorch, by the name that a type ends with."""


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a number."""
    found = {"python": platform.python_version()}
    return found | {package: _version(package) for package in PACKAGES}


def engine_versions(types: Iterable[str]) -> dict[str, str]:
    """Versions of the engines that encoders computed with, by types like `float32, openvino`."""
    engines = sorted({kind.partition(", ")[2] for kind in types} & ENGINES.keys())
    return {ENGINES[engine]: _version(ENGINES[engine]) for engine in engines}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def command_line() -> str:
    """The command as it can be typed again, without the folder of the program."""
    program = sys.argv[0].rsplit("/", 1)[-1] or "python"
    return shlex.join([program, *sys.argv[1:]])
