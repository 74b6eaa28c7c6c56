"""Backbones: timm models that turn a batch of square pictures into pooled embeddings."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from extractor.config import BackboneConfig
from extractor.images import Geometry, Preprocessing, resampling_of
from extractor.model_folder import find_folder
from extractor.weights import Weights, build_from_folder, build_model
from featurestore.errors import ConfigError, one_line


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A model with pooled features, as built: trainable, on the CPU, nothing folded.

    Attributes:
        name: Name of the architecture as timm knows it.
        module: timm model without classifier; `forward_features` gives the feature map, and
            `forward_head` pools it to (n, dimension).
        preprocessing: What its input is made by.
        weights: Where the weights came from and their digest.
        pooling: How the feature map becomes a vector, for example `avg`.
        dimension: Length of the embedding.
    """

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    weights: Weights
    pooling: str
    dimension: int


def load_backbone(config: BackboneConfig, seed: int, data_root: Path) -> Backbone:
    """Builds the configured backbone with its weights.

    Input size, mean and deviation are those the architecture was trained with, unless the size is
    configured. Its customary centre crop is not applied: the whole picture is seen.

    Raises:
        ConfigError: The architecture is unknown, has no pooled features, or does not take the
            configured size or pooling.
        WeightsError: The weights cannot be found, reached, read or fitted.
    """
    folder = find_folder(config.weights, data_root, config.download)
    if folder is None:
        _require_known(config.name)
        module, weights = build_model(config.name, config.weights, seed, data_root)
    else:
        module, weights = build_from_folder(folder)
    module.eval()
    _pool_as_asked(config, module)
    preprocessing = _preprocessing(config, module)
    return Backbone(
        name=config.name,
        module=module,
        preprocessing=preprocessing,
        weights=weights,
        pooling=_pooling(module),
        dimension=_dimension(config.name, module, preprocessing.geometry.size),
    )


def _require_known(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if timm.is_model(architecture):
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        if tag and tag not in tags:
            known = f"timm has {', '.join(tags)}" if tags else "timm has none"
            raise ConfigError(f"backbone {name!r}: tag {tag!r} is unknown; {known}")
        return
    near = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else "; see timm.list_models()"
    raise ConfigError(f"backbone {name!r} is unknown to timm{hint}")


def _preprocessing(config: BackboneConfig, module: nn.Module) -> Preprocessing:
    own = _own_config(module)
    own_size = own["input_size"][-1]
    size = config.image_size or own_size
    if own.get("fixed_input_size") and size != own_size:
        raise ConfigError(f"backbone {config.name!r} takes image_size {own_size} only, not {size}")
    return Preprocessing(
        geometry=Geometry(size, resampling_of(own["interpolation"])),
        mean=tuple(own["mean"]),
        std=tuple(own["std"]),
    )


def _own_config(module: Any) -> Mapping[str, Any]:
    """What timm knows of the model: size, mean, deviation and resampling it was trained with."""
    return module.pretrained_cfg


def _pool_as_asked(config: BackboneConfig, module: Any) -> None:
    """Makes a model pool by its class token, or by the mean, after its weights were fitted.

    The last normalisation stays where the weights have it.
    """
    if config.pooling == "own" or _pooling(module) == config.pooling:
        return
    try:
        module.reset_classifier(0, config.pooling)
        taken = _pooling(module) == config.pooling
    except Exception:  # models of timm differ in what they raise here
        taken = False
    if not taken:
        raise ConfigError(
            f"backbone {config.name!r} cannot be pooled by {config.pooling!r}; it has "
            f"{_pooling(module)!r}: leave `pooling` out"
        )


def _pooling(module: nn.Module) -> str:
    """Names the pooling: timm keeps it in a pooling layer or, for transformers, as a word."""
    kinds = [part.pool_type for part in module.modules() if hasattr(part, "pool_type")]
    own = getattr(module, "global_pool", None)
    return str(kinds[-1]) if kinds else own if isinstance(own, str) else "own"


def _dimension(name: str, module: Any, size: int) -> int:
    try:
        with torch.inference_mode():
            blank = torch.zeros(1, 3, size, size)
            output = module.forward_head(module.forward_features(blank))
    except (RuntimeError, AttributeError, AssertionError, ValueError) as error:
        reason = one_line(error)
        raise ConfigError(f"backbone {name!r} takes no pictures of {size} px: {reason}") from None
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        raise ConfigError(f"backbone {name!r} has no pooled features")
    return int(output.shape[1])
