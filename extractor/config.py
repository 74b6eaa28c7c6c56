"""The `extract` section of a configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from featurestore.config import Section

AUTO: Literal["auto"] = "auto"
BatchSize = int | Literal["auto"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
EngineName = Literal["auto", "torch", "openvino", "onnx"]
"""What may be asked for of `extractor.engines`, which this module does not load."""

HUB = "hf-hub:"
"""Beginning of weights that a hub of models describes."""


class BackboneConfig(Section):
    """One backbone.

    Attributes:
        name: Architecture as timm knows it, anything with pooled features; a name of one's own
            where the weights are a folder; `hf-hub:ORG/MODEL` is short for the name `MODEL` with
            these weights.
        weights: `imagenet` (through timm, from its hub or cache), `random` (seeded),
            `package:efficientnet-lite0` (the optional extra), a path of a `.safetensors` or
            `.pth` file, of a folder with `config.json` and `model.safetensors` (relative to the
            data root), or `hf-hub:ORG/MODEL`.
        image_size: Side of the square input in pixels; by default the backbone's own.
        pooling: How the output becomes one vector: `own` as the backbone was made, `token` the
            class token, `avg` the mean of the others.
        download: Whether `hf-hub:` weights may be downloaded.
    """

    name: str
    weights: str = "imagenet"
    image_size: int | None = pydantic.Field(None, ge=32, le=1024)
    pooling: Literal["own", "token", "avg"] = "own"
    download: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _hub_names_are_weights(cls, given: Any) -> Any:
        name = given.get("name") if isinstance(given, dict) else None
        if not isinstance(name, str) or not name.startswith(HUB) or "weights" in given:
            return given
        return {**given, "name": name.partition("@")[0].rpartition("/")[2], "weights": name}

    @pydantic.field_validator("name")
    @classmethod
    def _name_is_no_path(cls, name: str) -> str:
        if name.startswith(HUB) or "/" in name:
            raise ValueError("a backbone's name has no slash; a hub or a path is its `weights`")
        if "@" in name:
            raise ValueError("a backbone's name has no @, which stands before a role of images")
        return name

    @pydantic.model_validator(mode="after")
    def _hub_only_if_asked(self) -> BackboneConfig:
        if self.weights.startswith(HUB) and not self.download:
            raise ValueError(
                f"{self.weights} is downloaded only with `download: true`; or put its config.json "
                "and model.safetensors into a folder and name that as weights"
            )
        return self


class ExtractConfig(Section):
    """How images become embeddings.

    Attributes:
        backbones: Backbones that share one decode of each image.
        batch_size: Images a forward pass on CUDA and MPS; `auto` is as many as half of a CUDA
            device's free memory takes, 256 at most, and 16 on MPS. On a CPU it is fixed by the
            image size, whatever is written here.
        device: `auto` picks CUDA, then MPS, then CPU.
        precision: Type of the forward pass, part of an embedding's identity; `auto` is bfloat16
            (older cards: float16) on CUDA and float32 elsewhere; bfloat16 needs a CPU that has it.
        engine: What computes on a CPU, part of an embedding's identity: `torch`, or of the extras
            `openvino` and `onnx`; `auto` goes on with the engine that the store holds embeddings
            of a network by, and is `torch` where it holds none, or some by torch.
        workers: Decoding threads; `auto` is a thread a usable core (32 at most) beside a CUDA
            device, and 2 where the forward passes take the cores.
        storage_dtype: Type of the stored embeddings; float16 refuses values that overflow.
        max_megapixels: Images above are quarantined unread (decompression bombs).
    """

    backbones: tuple[BackboneConfig, ...] = (
        BackboneConfig(name="resnet18"),
        BackboneConfig(name="efficientnet_b0"),
    )
    batch_size: Annotated[int, pydantic.Field(ge=1, le=4096)] | Literal["auto"] = AUTO
    device: str = "auto"
    precision: Precision = AUTO
    engine: EngineName = AUTO
    workers: Annotated[int, pydantic.Field(ge=1, le=256)] | Literal["auto"] = AUTO
    storage_dtype: Literal["float32", "float16"] = "float32"
    max_megapixels: float = pydantic.Field(200.0, gt=0, le=10_000)

    @pydantic.field_validator("backbones")
    @classmethod
    def _names_are_unique(cls, backbones: tuple[BackboneConfig, ...]) -> tuple[BackboneConfig, ...]:
        names = [b.name for b in backbones]
        if len(set(names)) < len(names):
            raise ValueError(f"a backbone stands twice in {names}")
        return backbones
