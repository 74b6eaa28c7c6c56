"""Backbones: timm models that turn a batch of square pictures into pooled embeddings."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import timm
import torch
from torch import nn

from extractor.batchnorm import fold_batchnorm
from extractor.config import BackboneConfig
from extractor.device import ComputePlan
from extractor.images import Geometry, Preprocessing, resampling_of, stack
from extractor.model_folder import find_folder
from extractor.weights import Weights, build_from_folder, build_model
from featurestore.errors import ConfigError, one_line
from featurestore.store import EncoderIdentity


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


class Embedder(Protocol):
    """What an extraction asks of whatever makes embeddings.

    Attributes:
        name: Unique among those that work together.
        identity: What its embeddings are stored under.
        view: Number of the view that it embeds; 0 is the picture as it is.
        geometry: Squares that it is given.
        pass_size: Most images a call of `embed` takes.
    """

    name: str
    identity: EncoderIdentity
    view: int
    geometry: Geometry
    pass_size: int

    def prepare(self, square: np.ndarray, sha256: str) -> np.ndarray:
        """Makes of a decoded square what `embed` takes, given the digest of its file."""

    def embed(self, squares: list[np.ndarray]) -> np.ndarray:
        """Embeds up to `pass_size` prepared squares: (n, dimension) of float32."""


class Encoder:
    """A backbone made ready for inference on one device, with the identity of what it yields.

    Attributes:
        name: Name in this process, unique among encoders that work together; by default that of
            the backbone.
        identity: What its embeddings are stored under.
        geometry: Squares that it takes.
        pass_size: Most images a call of `embed` takes.
        view: 0, the picture as it is.
    """

    view = 0

    def __init__(
        self,
        backbone: Backbone,
        plan: ComputePlan,
        training_patients: tuple[str, ...] = (),
        fold: str = "",
        name: str | None = None,
    ) -> None:
        self.name = name or backbone.name
        self.geometry = backbone.preprocessing.geometry
        self.pass_size = plan.pass_size(self.geometry.size)
        self.identity = EncoderIdentity(
            backbone=backbone.name,
            weights=backbone.weights.label,
            weights_sha256=backbone.weights.sha256,
            preprocessing=backbone.preprocessing.to_json(),
            pooling=backbone.pooling,
            dimension=backbone.dimension,
            dtype=plan.dtype_name,
            training_patients=training_patients,
            fold=fold,
        )
        size = self.geometry.size
        example = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0))
        module = fold_batchnorm(backbone.module.eval(), example)
        # Measured to gain on CPU, customary on CUDA; nothing is known of MPS, so left alone there.
        layout = torch.contiguous_format if plan.device.type == "mps" else torch.channels_last
        self._layout = layout
        self._module: Any = module.to(plan.device).to(memory_format=layout)
        self._device = plan.device
        self._dtype = plan.dtype
        self._mean = _channels(backbone.preprocessing.mean).to(plan.device)
        self._std = _channels(backbone.preprocessing.std).to(plan.device)

    def prepare(self, square: np.ndarray, sha256: str) -> np.ndarray:
        """Returns the square as it is."""
        return square

    def embed(self, squares: list[np.ndarray]) -> np.ndarray:
        """Embeds up to `pass_size` squares (size, size, 3) of uint8.

        The pass is always padded to `pass_size`; call it in a thread whose torch uses one thread
        (`extractor.extract` does), and an embedding keeps its bits in any company.

        Returns:
            Array (n, dimension) of float32.
        """
        batch = torch.from_numpy(stack(squares, self.pass_size))
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        with torch.inference_mode():
            pixels = batch.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
            inputs = (pixels.float() / 255.0 - self._mean) / self._std
            inputs = inputs.contiguous(memory_format=self._layout)
            with self._reduced_precision():
                features = self._module.forward_features(inputs)
            # Pooled in full precision, so that a mean over the map is not rounded to 8 bits.
            embeddings = self._module.forward_head(features.float()).float()
            return embeddings[: len(squares)].cpu().numpy()

    def _reduced_precision(self) -> contextlib.AbstractContextManager[None]:
        if self._dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=self._dtype)


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


def _channels(values: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
