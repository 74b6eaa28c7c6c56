"""Where in a picture a score comes from: Grad-CAM (Selvaraju et al. 2017).

The score may be anything that is computed from the embedding, for example the log odds of a head
that fuses several embeddings with patient columns. All that is needed of it here is its gradient
with respect to this embedding.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from extractor.backbones import Backbone
from extractor.images import fit_square, picture_box
from extractor.stages import one_torch_thread
from featurestore.errors import ConfigError
from featurestore.images import open_image

COLOURS = np.array(
    [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], dtype=float
)
"""From nothing to most, of even lightness steps (after the inferno colour map)."""

OPACITY = 0.55
"""Of the colour where the heat is greatest."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A picture with the heat of several backbones.

    Attributes:
        pictures: PNG files by name of the backbone.
        notes: Why backbones without feature map have none.
        cold: Backbones by name whose picture has no heat, because nothing in it raises the score.
    """

    pictures: dict[str, bytes]
    notes: tuple[str, ...]
    cold: frozenset[str]


def draw_overlays(
    data: bytes,
    backbones: Mapping[str, Backbone],
    gradients: Mapping[str, np.ndarray],
    max_pixels: int,
    side: int = 448,
) -> Drawn:
    """Draws one picture with the heat of each backbone, decoding it once per decode size.

    Args:
        data: Bytes of the image file.
        backbones: By name.
        gradients: Of the score with respect to each embedding; shape (dimension,) by name.
        max_pixels: Larger pictures are refused.
        side: Longer side of the results in pixels.

    Raises:
        UnreadableImage: The bytes are no complete image, or a refused one.
    """
    pictures: dict[int, Image.Image] = {}
    drawn: dict[str, bytes] = {}
    notes: list[str] = []
    cold: set[str] = set()
    for name, backbone in backbones.items():
        geometry = backbone.preprocessing.geometry
        short_side = geometry.decode_short_side
        if short_side not in pictures:
            pictures[short_side] = open_image(io.BytesIO(data), max_pixels, short_side)
        picture = pictures[short_side]
        square = fit_square(picture, geometry)
        try:
            heat = grad_cam(backbone, square, gradients[name])
        except ConfigError as error:
            notes.append(str(error))
            continue
        buffer = io.BytesIO()
        overlay(square, heat, picture_box(picture.size, geometry), side).save(buffer, "PNG")
        drawn[name] = buffer.getvalue()
        cold |= set() if heat.any() else {name}
    return Drawn(drawn, tuple(notes), frozenset(cold))


def grad_cam(backbone: Backbone, square: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Heat of each pixel: where the last feature map raises the score.

    Channels are weighted by the mean gradient of the score over the map; what lowers the score is
    cut off. The gradient goes through the pooling only.

    Args:
        backbone: The network, as built, on the CPU.
        square: The picture as the network sees it, uint8 (size, size, 3).
        gradient: Of the score with respect to the embedding; shape (dimension,).

    Returns:
        float32 (size, size) in [0, 1]; all 0 where nothing raises the score.

    Raises:
        ConfigError: The network has no feature map (most transformers).
    """
    module: Any = backbone.module.eval()
    size = square.shape[0]
    mean = torch.tensor(backbone.preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(backbone.preprocessing.std).view(1, 3, 1, 1)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255.0
    with one_torch_thread():
        with torch.no_grad():
            features = module.forward_features((pixels - mean) / std)
        features = _channels_first(features, module, backbone.name).detach().requires_grad_()
        with torch.enable_grad():
            embedding = module.forward_head(_as_made(features, module))
            score = (embedding[0].double() * torch.from_numpy(gradient.astype(np.float64))).sum()
            (slope,) = torch.autograd.grad(score, features)
        weights = slope.mean(dim=(2, 3), keepdim=True)
        heat = (weights * features.detach()).sum(dim=1, keepdim=True).relu()
        heat = torch.nn.functional.interpolate(
            heat, size=(size, size), mode="bilinear", align_corners=False
        )[0, 0]
    top = float(heat.max())
    return (heat / top if top > 0 else heat).numpy().astype(np.float32)


def overlay(
    square: np.ndarray, heat: np.ndarray, box: tuple[int, int, int, int], side: int = 448
) -> Image.Image:
    """The picture with its heat laid over it, without the mirrored margins of the square.

    Args:
        square: uint8 (size, size, 3).
        heat: Values in [0, 1]; shape (size, size).
        box: Where the picture lies in the square (`images.picture_box`).
        side: Longer side of the result in pixels.
    """
    places = np.linspace(0.0, 1.0, len(COLOURS))
    colour = np.stack([np.interp(heat, places, COLOURS[:, k]) for k in range(3)], axis=-1)
    share = OPACITY * heat[..., None]
    mixed = np.clip(square * (1 - share) + colour * share, 0, 255).astype(np.uint8)
    image = Image.fromarray(mixed).crop(box)
    scale = side / max(image.size)
    target = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(target, Image.Resampling.BICUBIC)


def _channels_first(features: torch.Tensor, module: Any, name: str) -> torch.Tensor:
    """The feature map as (1, channels, height, width)."""
    if features.ndim == 4:
        if features.shape[1] == module.num_features:
            return features
        if features.shape[3] == module.num_features:
            return features.permute(0, 3, 1, 2)
    raise ConfigError(f"backbone {name!r} has no feature map, so Grad-CAM cannot be drawn of it")


def _as_made(features: torch.Tensor, module: Any) -> torch.Tensor:
    """The map in the layout that the network's own pooling takes."""
    last = getattr(module, "output_fmt", "NCHW")
    return features.permute(0, 2, 3, 1) if str(last).endswith("NHWC") else features
