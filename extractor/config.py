"""The `extract` section of a configuration."""

from __future__ import annotations

from typing import Literal

import pydantic

from featurestore.config import Section


class BackboneConfig(Section):
    """One backbone.

    Attributes:
        name: Architecture as timm knows it; anything with pooled features.
        weights: `imagenet` (through timm, from its hub or cache), `random` (seeded),
            `package:efficientnet-lite0` (the optional extra), or a path of a `.safetensors` or
            `.pth` file, relative to the data root.
        image_size: Side of the square input in pixels; by default the backbone's own.
    """

    name: str
    weights: str = "imagenet"
    image_size: int | None = pydantic.Field(None, ge=32, le=1024)


class ExtractConfig(Section):
    """How images become embeddings.

    Attributes:
        backbones: Backbones that share one decode of each image.
        batch_size: Images a forward pass.
        device: `auto` picks CUDA, then MPS, then CPU.
        workers: Decoding threads.
        storage_dtype: Type of the stored embeddings; float16 refuses values that overflow.
        max_megapixels: Images above are quarantined unread (decompression bombs).
    """

    backbones: tuple[BackboneConfig, ...] = (
        BackboneConfig(name="resnet18"),
        BackboneConfig(name="efficientnet_b0"),
    )
    batch_size: int = pydantic.Field(16, ge=1, le=4096)
    device: str = "auto"
    workers: int = pydantic.Field(2, ge=1, le=256)
    storage_dtype: Literal["float32", "float16"] = "float32"
    max_megapixels: float = pydantic.Field(200.0, gt=0, le=10_000)

    @pydantic.field_validator("backbones")
    @classmethod
    def _names_are_unique(cls, backbones: tuple[BackboneConfig, ...]) -> tuple[BackboneConfig, ...]:
        names = [b.name for b in backbones]
        if len(set(names)) < len(names):
            raise ValueError(f"a backbone stands twice in {names}")
        return backbones
