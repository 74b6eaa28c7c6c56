"""Where and with what a run was made."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from featurestore.software import ROOT, code_digest, installed

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


_ONLY_FITS = ("scikit-survival", "albumentations")
"""Packages that some fits use beside `PACKAGES`."""

ENGINES = {"openvino": "openvino", "onnx": "onnxruntime"}
"""Packages of inference engines other than PyTorch, by the name that a type ends with."""

_ROOMS = ("featurestore", "extractor", "fusion")
_COMPILED = {".pyc", ".so", ".pyd"}
_FITTED_BY = (
    "featurestore",
    "extractor",
    "fusion/config",
    "fusion/endpoints",
    "fusion/metrics",
    "fusion/features",
    "fusion/models",
    "fusion/evaluation",
)
"""Folders of our own that a fit runs through, beside the flat modules of `fusion`."""


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a number."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def engine_versions(types: Iterable[str]) -> dict[str, str]:
    """Versions of the engines that encoders computed with, by types like `float32, openvino`."""
    engines = sorted({kind.partition(", ")[2] for kind in types} & ENGINES.keys())
    return installed(tuple(ENGINES[engine] for engine in engines))


@functools.cache
def reporting_software() -> dict[str, str]:
    """All that numbers and pages are bound to, beside what they are made from."""
    required = importlib.metadata.requires("melafuse") or ()
    names = {re.split(r"[^A-Za-z0-9_.-]", one, maxsplit=1)[0] for one in required}
    everything = (path for room in _ROOMS for path in (ROOT / room).rglob("*"))
    sources = (path for path in everything if path.suffix not in _COMPILED)
    return {**versions(), **installed(tuple(sorted(names))), "code": code_digest(sources)}


@functools.cache
def fitting_software() -> dict[str, str]:
    """All that a kept fit is bound to, beside its data and settings.

    That is the versions, the kind of machine, and the text of our own code: a checkout moves on
    under one version.
    """
    machine = {"system": platform.system(), "machine": platform.machine()}
    return {**versions(), **installed(_ONLY_FITS), **machine, "code": code_digest(_sources())}


def _sources() -> list[Path]:
    deep = (path for folder in _FITTED_BY for path in (ROOT / folder).rglob("*.py"))
    return sorted((*deep, *(ROOT / "fusion").glob("*.py")))


def command_line() -> str:
    """The command as it can be typed again, without the folder of the program."""
    program = sys.argv[0].rsplit("/", 1)[-1] or "python"
    return shlex.join([program, *sys.argv[1:]])
