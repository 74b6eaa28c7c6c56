"""The backbones of a bundle at work: bytes of image files to embeddings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import timm
import torch

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.images import Geometry, decode
from extractor.stages import forward_threads, in_order, one_torch_thread
from extractor.weights import Weights, fit_state, state_digest
from featurestore.errors import DataError, MelafuseError, one_line
from fusion.bundle.archive import Bundle
from fusion.bundle.record import EncoderRecord

Squares = Mapping[Geometry, np.ndarray]
"""One decoded picture, laid out for every geometry."""


@dataclasses.dataclass(frozen=True)
class LoadedEncoder:
    """One backbone, ready.

    Attributes:
        record: What the bundle says of it.
        backbone: As built, for explanations.
        encoder: Folded and placed on the device.
    """

    record: EncoderRecord
    backbone: Backbone
    encoder: Encoder


class Encoders:
    """All backbones of a bundle; several threads may share them.

    Attributes:
        loaded: By name among the embeddings of the models.
        geometries: Squares that pictures are laid out for.
        max_pixels: Larger pictures are refused.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Builds the backbones.

        Args:
            bundle: A verified bundle.
            device: `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.

        Raises:
            ConfigError: The device is not available, or timm does not know a backbone.
            DataError: The installed timm makes other inputs of a picture than the bundle's, or
                the weights do not fit.
        """
        self._plan = plan_compute(device, batch_size=16)
        with one_torch_thread():
            self.loaded = {r.name: self._load(bundle, r) for r in bundle.record.encoders}
        self.geometries = tuple(dict.fromkeys(e.encoder.geometry for e in self.loaded.values()))
        self.max_pixels = int(bundle.record.image.max_megapixels * 1e6)

    @property
    def batch_size(self) -> int:
        """Pictures that one round of passes takes without padding."""
        sizes = [e.encoder.pass_size for e in self.loaded.values()]
        return max(sizes, default=1)

    def decode(self, data: bytes) -> Squares:
        """Decodes an image file.

        Raises:
            UnreadableImage: The bytes are no complete image, or a refused one.
        """
        return decode(data, self.geometries, self.max_pixels)

    def embed(self, pictures: Sequence[Squares]) -> dict[str, np.ndarray]:
        """Embeds pictures; an embedding does not depend on its company.

        Returns:
            Per encoder a matrix (n, dimension), rounded as the embeddings of training were.
        """
        passes = [
            (name, start, e.encoder)
            for name, e in self.loaded.items()
            for start in range(0, len(pictures), e.encoder.pass_size)
        ]

        def forward(work: tuple[str, int, Encoder]) -> np.ndarray:
            _, start, encoder = work
            part = pictures[start : start + encoder.pass_size]
            return encoder.embed([p[encoder.geometry] for p in part])

        found: dict[str, list[np.ndarray]] = {name: [] for name in self.loaded}
        if passes:
            with forward_threads(self._plan.threads) as pool:
                done = in_order(pool, forward, passes, self._plan.threads)
                for (name, _, _), rows in zip(passes, done, strict=True):
                    found[name].append(rows)
        return {name: _joined(rows, self.loaded[name].record) for name, rows in found.items()}

    def _load(self, bundle: Bundle, record: EncoderRecord) -> LoadedEncoder:
        where = f"{record.file} of the bundle"
        config = BackboneConfig(
            name=record.architecture, weights="random", image_size=record.image_size
        )
        try:
            state = safetensors.torch.load(bundle.contents[record.file])
        except (KeyError, ValueError, safetensors.SafetensorError) as error:
            raise DataError(f"{where} cannot be used: {one_line(error)}") from None
        _require_same_size(record, state, where)
        backbone = load_backbone(config, 0, Path())
        try:
            fit_state(backbone.module, state, where)
        except MelafuseError as error:
            raise DataError(f"{where} cannot be used: {one_line(error)}") from None
        digest = state_digest(backbone.module.state_dict())
        backbone = dataclasses.replace(backbone, weights=Weights(record.origin, digest))
        encoder = Encoder(backbone, self._plan, name=record.name)
        _require_same(encoder, record)
        encoder.load()  # now rather than with the first patient
        return LoadedEncoder(record, backbone, encoder)


def _require_same_size(
    record: EncoderRecord, state: Mapping[str, torch.Tensor], where: str
) -> None:
    """Refuses an architecture that is much larger than its weights, before it is built."""
    if not timm.is_model(record.architecture.partition(".")[0]):
        return  # building it says so
    try:
        with torch.device("meta"):
            bare = timm.create_model(record.architecture, pretrained=False, num_classes=0)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return  # some architectures compute with their weights while they are built
    wanted = sum(value.numel() for value in bare.state_dict().values())
    if wanted > 2 * sum(value.numel() for value in state.values()) + 1000:
        raise DataError(f"{where} cannot be used: it has not the weights of {record.architecture}")


def _require_same(encoder: Encoder, record: EncoderRecord) -> None:
    """Everything but the type of the forward pass must be that of training."""
    own = encoder.identity
    facts: Iterable[tuple[str, Any, Any]] = (
        ("weights", own.weights_sha256, record.weights_sha256),
        ("pooling", own.pooling, record.pooling),
        ("dimension", own.dimension, record.dimension),
        ("preprocessing", json.loads(own.preprocessing), json.loads(record.preprocessing)),
    )
    for what, here, stated in facts:
        if here != stated:
            raise DataError(
                f"encoder {record.name} of the bundle has another {what} here than where it was "
                f"fitted; take the versions of melafuse and timm that bundle.json names"
            )


def _joined(rows: Sequence[np.ndarray], record: EncoderRecord) -> np.ndarray:
    if not rows:
        return np.empty((0, record.dimension), dtype=np.float32)
    whole = np.concatenate(rows)
    return whole.astype(record.storage_dtype).astype(np.float32)
