"""An Albumentations pipeline from a file: an optional package, and a file that cannot run code.

A pipeline is data (JSON, or YAML read safely) that names transforms. Only names that stand in the
package's own registry and come from the package itself are looked up; nothing is imported by name
and nothing is unpickled.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from featurestore import bounded
from featurestore.config import MAX_CONFIG_BYTES
from featurestore.errors import ConfigError, one_line
from featurestore.json_text import parse_json
from featurestore.yaml_text import parse_yaml

_PACKAGE = "albumentations"
_NAME = "__class_fullname__"


def serialized_augmenter(path: Path, size: int | None) -> Callable[[Tensor, int], Tensor]:
    """Builds the function that varies a picture by a serialized pipeline.

    Args:
        path: File written by `albumentations.save`.
        size: Side of the square that is returned; by default pictures keep their size.

    Raises:
        ConfigError: The package is missing, or the file is no pipeline of its transforms.
    """
    own = threading.local()  # a pipeline holds its random state: each thread has one of its own
    own.pipeline = load_pipeline(path)  # here, so that errors come before the training

    def augment(picture: Tensor, seed: int) -> Tensor:
        if not hasattr(own, "pipeline"):
            own.pipeline = load_pipeline(path)
        own.pipeline.set_random_seed(seed % 2**32)
        try:
            image = own.pipeline(image=picture.permute(1, 2, 0).contiguous().numpy())["image"]
        except Exception as error:  # steps of the pipeline may raise anything
            raise ConfigError(f"{_where(path)}: {_one_line(error)}") from None
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ConfigError(f"{_where(path)} does not return RGB of uint8")
        varied = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        side = list(picture.shape[-2:]) if size is None else [size, size]
        return varied if list(varied.shape[-2:]) == side else functional.resize(varied, side)

    return augment


def load_pipeline(path: Path) -> Any:
    """Loads a pipeline.

    Returns:
        An `albumentations.Compose`.

    Raises:
        ConfigError: The package is missing, or the file is no pipeline of its transforms.
    """
    record = _read(path)
    serialization = _import().core.serialization
    registry: Mapping[str, type] = serialization.SERIALIZABLE_REGISTRY
    try:
        for name in _names(record["transform"]):
            known = registry.get(serialization.shorten_class_name(name))
            if known is None or known.__module__.partition(".")[0] != _PACKAGE:
                raise ConfigError(f"{_where(path)}: {name!r} is no transform of {_PACKAGE}")
        pipeline = serialization.from_dict(record)
        compose = _import().Compose
        return pipeline if isinstance(pipeline, compose) else compose([pipeline])
    except ConfigError:
        raise
    except Exception as error:  # a file of any content
        raise ConfigError(f"{_where(path)} cannot be loaded: {_one_line(error)}") from None


def _read(path: Path) -> dict[str, Any]:
    readers: dict[str, Callable[[str], Any]] = {
        ".json": parse_json,
        ".yaml": parse_yaml,
        ".yml": parse_yaml,
    }
    if path.suffix not in readers:
        raise ConfigError(f"{_where(path)}: write it as .json or .yaml")
    try:
        record = readers[path.suffix](bounded.read_text(path, MAX_CONFIG_BYTES))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{_where(path)} cannot be read: {_one_line(error)}") from None
    if not isinstance(record, dict) or not isinstance(record.get("transform"), dict):
        raise ConfigError(f"{_where(path)} was not written by {_PACKAGE}.save")
    return record


def _names(part: Any) -> Iterator[str]:
    """Names of all transforms in a part of a pipeline, however deep."""
    if isinstance(part, dict):
        if _NAME in part:
            yield str(part[_NAME])
        for inner in part.values():
            yield from _names(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _names(inner)


def _import() -> Any:
    # The package asks its index for a newer version when it is imported, unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        return importlib.import_module(_PACKAGE)
    except ImportError:
        raise ConfigError(
            "finetune.augment.albumentations needs an optional package: "
            "pip install 'melafuse[albumentations]'"
        ) from None


def _where(path: Path) -> str:
    return f"Albumentations pipeline {path}"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
