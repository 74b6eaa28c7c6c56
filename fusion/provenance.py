"""Where and with what a run was made."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys

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


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def command_line() -> str:
    """The command as it can be typed again, without the folder of the program."""
    program = sys.argv[0].rsplit("/", 1)[-1] or "python"
    return shlex.join([program, *sys.argv[1:]])
