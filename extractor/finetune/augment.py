"""Augmentation of single pictures: a pure function of the picture and a seed.

The transforms of `torchvision.transforms.v2` draw from torch's global generator, which threads
share; so the numbers are drawn here, from a generator made of the seed, and the functions behind
those transforms are called with them. A picture is then the same in any thread or process.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from extractor.config_finetune import AugmentConfig
from extractor.finetune.serialized import serialized_augmenter
from featurestore.errors import ConfigError

Augmenter = Callable[[Tensor, int], Tensor]

ASPECT = math.log(4 / 3)  # of resized crops, as in torchvision.transforms.v2.RandomResizedCrop
ERASED_AREA = (0.02, 0.2)
ERASED_ASPECT = math.log(3.3)  # as in torchvision.transforms.v2.RandomErasing
BLUR_SIGMA = (0.1, 1.5)  # pixels
BLUR_KERNEL = [7, 7]  # pixels; holds two deviations of the strongest blur


def augmenter(
    config: AugmentConfig, size: int | None = None, data_root: Path = Path()
) -> Augmenter:
    """Builds the function that varies a picture.

    Args:
        config: What is varied and how far.
        size: Side of the square that is returned; by default pictures keep their size.
        data_root: Folder that the path of an Albumentations pipeline starts from.

    Returns:
        Function of a picture, uint8 (3, H, W), and a seed, to a picture of the same type. The
        same picture and seed give the same result in any thread and process.

    Raises:
        ConfigError: The Albumentations pipeline cannot be loaded, or its package is missing.
    """
    if config.albumentations is not None:
        return serialized_augmenter(data_root / config.albumentations, size)
    return OwnAugmenter(config, size)


@dataclasses.dataclass(frozen=True)
class OwnAugmenter:
    """The steps of the configuration, on one picture; `extractor.finetune.varied` takes batches.

    Attributes:
        config: What is varied and how far.
        size: Side of the square that is returned; None keeps that of the picture.
    """

    config: AugmentConfig
    size: int | None

    def __call__(self, picture: Tensor, seed: int) -> Tensor:
        """Varies a picture; see `augmenter`."""
        height, width = picture.shape[-2:]
        side = (self.size, self.size) if self.size is not None else (height, width)
        return _apply(_draw(self.config, seed), picture, side)


def source_size(config: AugmentConfig, size: int) -> int:
    """Side of the square to decode, so that a typical crop is neither enlarged nor reduced much.

    The geometric mean of the crops' areas then has `size` x `size` pixels.
    """
    if config.albumentations is not None:
        return size
    area = math.sqrt(config.crop_scale[0] * config.crop_scale[1])
    return round(size / math.sqrt(area))


def spec(config: AugmentConfig, data_root: Path) -> dict[str, Any]:
    """Everything that decides what an augmenter does, as JSON holds it.

    A pipeline is named by its content, not by its path.

    Raises:
        ConfigError: The Albumentations pipeline cannot be read.
    """
    settings: dict[str, Any] = config.model_dump(mode="json")
    if config.albumentations is not None:
        path = data_root / config.albumentations
        try:
            settings["albumentations"] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"Albumentations pipeline {path}: {error.strerror}") from None
    return settings


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """The numbers of one augmentation.

    Attributes:
        transform: Output to input coordinates in [-1, 1], (2, 3): crop, rotation and flips in one
            resampling, which blurs less than three and costs a fifth.
        colour: Factors of brightness, contrast and saturation, and shift of hue.
        sigma: Deviation of the blur in pixels; 0 is none.
        erased: Top, left, height and width of the blanked rectangle as shares; None is none.
    """

    transform: np.ndarray
    colour: tuple[float, float, float, float]
    sigma: float
    erased: tuple[float, float, float, float] | None


def draw_numbers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws all numbers whatever the settings, so that one setting does not shift the others.

    Returns:
        16 numbers in [-1, 1) and 4 in [0, 1).
    """
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, size=16), rng.uniform(0, 1, size=4)


def _draw(config: AugmentConfig, seed: int) -> _Drawn:
    u, p = draw_numbers(seed)
    return _Drawn(
        transform=_transform(config, u[:5], p[:2]),
        colour=(
            1 + config.brightness * u[5],
            1 + config.contrast * u[6],
            1 + config.saturation * u[7],
            config.hue * u[8],
        ),
        sigma=_between(BLUR_SIGMA, u[9]) if p[2] < config.blur else 0.0,
        erased=_rectangle(u[10:14]) if p[3] < config.dropout else None,
    )


def _transform(config: AugmentConfig, u: np.ndarray, p: np.ndarray) -> np.ndarray:
    area = _between(config.crop_scale, u[0])
    cropped = config.crop_scale[0] < 1
    aspect = math.exp(ASPECT * u[1] / 2) if cropped else 1.0
    width = min(math.sqrt(area) * aspect, 1.0)
    height = min(math.sqrt(area) / aspect, 1.0)
    shift = np.array([(1 - width) * u[2], (1 - height) * u[3]])
    angle = math.radians(config.rotation * u[4])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    flip = np.where(p < 0.5, -1.0, 1.0) if config.flips else np.ones(2)
    return np.column_stack([turn @ np.diag(flip * (width, height)), turn @ shift])


def _rectangle(u: np.ndarray) -> tuple[float, float, float, float]:
    area = _between(ERASED_AREA, u[0])
    aspect = math.exp(ERASED_ASPECT * u[1] / 2)
    height, width = min(math.sqrt(area) * aspect, 1.0), min(math.sqrt(area) / aspect, 1.0)
    return (1 - height) * (u[2] + 1) / 2, (1 - width) * (u[3] + 1) / 2, height, width


def _between(ends: tuple[float, float], u: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * (float(u) + 1) / 2


_IDENTITY = np.eye(2, 3)


def _apply(drawn: _Drawn, picture: Tensor, side: tuple[int, int]) -> Tensor:
    if side != tuple(picture.shape[-2:]) or not np.array_equal(drawn.transform, _IDENTITY):
        picture = _resample(picture, drawn.transform, side)
    brightness, contrast, saturation, hue = drawn.colour
    if brightness != 1:
        picture = functional.adjust_brightness(picture, brightness)
    if contrast != 1:
        picture = functional.adjust_contrast(picture, contrast)
    if saturation != 1:
        picture = functional.adjust_saturation(picture, saturation)
    if hue:
        picture = functional.adjust_hue(picture, hue)
    if drawn.sigma:
        picture = functional.gaussian_blur(picture, BLUR_KERNEL, [drawn.sigma, drawn.sigma])
    if drawn.erased is not None:
        top, left, height, width = drawn.erased
        rows, columns = side
        mean = picture.float().mean(dim=(1, 2), keepdim=True).to(torch.uint8)
        box = round(top * rows), round(left * columns), round(height * rows), round(width * columns)
        picture = functional.erase(picture, *box, v=mean)
    return picture


def _resample(picture: Tensor, transform: np.ndarray, side: tuple[int, int]) -> Tensor:
    """Bilinear, outside filled by reflection, which the rotation of torchvision does not offer."""
    theta = torch.from_numpy(transform).float()[None]
    grid = nn.functional.affine_grid(theta, [1, 3, *side], align_corners=False)
    pixels = nn.functional.grid_sample(
        picture[None].float(), grid, padding_mode="reflection", align_corners=False
    )
    return pixels[0].round_().to(torch.uint8)
