"""Augmentation of whole batches on a device: what `augment` does to one picture, for many at once.

The numbers are those that `augment` draws for the same seeds, on the host, and they go to the
device as one table; nothing is drawn there. Sizes of all tensors are fixed, so that the function
can be compiled, and nothing waits for the device. Kernels round in another order than those for
one picture, so grey levels may differ by one or a few.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from extractor.config_finetune import AugmentConfig
from extractor.finetune.augment import (
    ASPECT,
    BLUR_KERNEL,
    BLUR_SIGMA,
    ERASED_AREA,
    ERASED_ASPECT,
    draw_numbers,
)

_REACH = BLUR_KERNEL[0] // 2
_THETA, _COLOUR, _TAPS, _BOX = slice(0, 6), slice(6, 10), slice(10, 14), slice(14, 18)
COLUMNS = 18
"""Of a table: transform (2, 3), colour (4), weights of the blur from the middle on (4), box (4)."""

_GREY = (0.2989, 0.587, 0.114)  # as in torchvision.transforms.v2
_TO_BYTE = 255.999  # of a share, as in torchvision.transforms.v2


def numbers_of(config: AugmentConfig, seeds: Sequence[int], side: int) -> np.ndarray:
    """Draws the numbers of a batch.

    Args:
        config: What is varied and how far.
        seeds: One a picture.
        side: Of the squares that are made, in pixels.

    Returns:
        Float32 (n, COLUMNS), for `varied`.
    """
    u, p = (np.array(drawn) for drawn in zip(*map(draw_numbers, seeds), strict=True))
    table = np.zeros((len(u), COLUMNS), dtype=np.float32)
    table[:, _THETA] = _transforms(config, u, p).reshape(-1, 6)
    table[:, _COLOUR] = [1, 1, 1, 0] + u[:, 5:9] * [
        config.brightness, config.contrast, config.saturation, config.hue
    ]  # fmt: skip
    table[:, _TAPS] = _taps(np.where(p[:, 2] < config.blur, _between(BLUR_SIGMA, u[:, 9]), 0.0))
    table[:, _BOX] = np.where(p[:, 3:] < config.dropout, _boxes(u[:, 10:14], side), 0)
    return table


def varied(pictures: Tensor, table: Tensor, config: AugmentConfig, side: int) -> Tensor:
    """Varies a batch, on the device where it lies.

    Args:
        pictures: Uint8 (n, 3, height, width), of any memory layout.
        table: What `numbers_of` returned; on the same device.
        config: What it was drawn for.
        side: Of the squares that are made, in pixels.

    Returns:
        Uint8 (n, 3, side, side).
    """
    theta = table[:, _THETA].reshape(-1, 2, 3)
    grid = nn.functional.affine_grid(theta, [len(table), 3, side, side], align_corners=False)
    x = nn.functional.grid_sample(
        pictures.float(), grid, padding_mode="reflection", align_corners=False
    ).round()
    brightness, contrast, saturation, hue = (
        column.reshape(-1, 1, 1, 1) for column in table[:, _COLOUR].unbind(1)
    )
    if config.brightness:
        x = _levels(x * brightness)
    if config.contrast:
        x = _blend(x, _grey(x).mean(dim=(1, 2, 3), keepdim=True), contrast)
    if config.saturation:
        x = _blend(x, _grey(x), saturation)
    if config.hue:
        x = _turned(x / 255.0, hue[:, 0])
    if config.blur:
        x = _blurred(_blurred(x, table[:, _TAPS], 3), table[:, _TAPS], 2).round()
    if config.dropout:
        x = torch.where(_inside(table[:, _BOX], side), x.mean(dim=(2, 3), keepdim=True).floor(), x)
    return x.to(torch.uint8)


def _transforms(config: AugmentConfig, u: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Output to input coordinates, (n, 2, 3); see `augment._transform`."""
    area = _between(config.crop_scale, u[:, 0])
    aspect = np.exp(ASPECT * u[:, 1] / 2 * (config.crop_scale[0] < 1))
    width = np.minimum(np.sqrt(area) * aspect, 1.0)
    height = np.minimum(np.sqrt(area) / aspect, 1.0)
    shift = np.stack([(1 - width) * u[:, 2], (1 - height) * u[:, 3]], axis=1)
    angle = np.radians(config.rotation * u[:, 4])
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    flip = np.where(p[:, :2] < 0.5, -1.0, 1.0) if config.flips else np.ones_like(shift)
    scaled = turn * (flip * np.stack([width, height], axis=1))[:, None, :]
    return np.concatenate([scaled, turn @ shift[:, :, None]], axis=2)


def _taps(sigma: np.ndarray) -> np.ndarray:
    """Weights of a normalised Gaussian at 0, 1, 2 and 3 pixels, (n, 4); 1, 0, 0, 0 for none."""
    away = np.arange(_REACH + 1)
    weights = np.exp(-0.5 * (away / np.where(sigma > 0, sigma, 1.0)[:, None]) ** 2)
    weights = np.where(sigma[:, None] > 0, weights, away == 0)
    return weights / (2 * weights.sum(axis=1, keepdims=True) - weights[:, :1])


def _boxes(u: np.ndarray, side: int) -> np.ndarray:
    """Top, left, bottom and right of blanked rectangles in pixels, (n, 4)."""
    area = _between(ERASED_AREA, u[:, 0])
    aspect = np.exp(ERASED_ASPECT * u[:, 1] / 2)
    height = np.minimum(np.sqrt(area) * aspect, 1.0)
    width = np.minimum(np.sqrt(area) / aspect, 1.0)
    top, left = (1 - height) * (u[:, 2] + 1) / 2, (1 - width) * (u[:, 3] + 1) / 2
    top, left, height, width = (np.round(share * side) for share in (top, left, height, width))
    return np.stack([top, left, top + height, left + width], axis=1)


def _between(ends: tuple[float, float], u: np.ndarray) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * (u + 1) / 2


def _levels(x: Tensor) -> Tensor:
    """Grey levels, cut off as a conversion to bytes does."""
    return x.clamp(0.0, 255.0).floor()


def _grey(x: Tensor) -> Tensor:
    red, green, blue = x.unbind(1)
    return (red * _GREY[0] + green * _GREY[1] + blue * _GREY[2]).floor()[:, None]


def _blend(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return _levels(x * share + other * (1.0 - share))


def _turned(x: Tensor, by: Tensor) -> Tensor:
    """Turns the hue of shares (n, 3, h, w) and returns grey levels.

    To hue, saturation and value and back by the closed form of Smith's conversion (1978), which has
    no table to look up.
    """
    red, green, blue = x.unbind(1)
    least, value = x.amin(1), x.amax(1)
    span = value - least
    divisor = torch.where(span > 0, span, 1.0)
    sixth = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    hue = torch.remainder(sixth / 6.0 + by, 1.0) * 6.0
    channels = []
    for n in (5.0, 3.0, 1.0):
        k = torch.remainder(hue + n, 6.0)
        channels.append(value - span * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    return (torch.stack(channels, dim=1).clamp(0.0, 1.0) * _TO_BYTE).floor()


def _blurred(x: Tensor, taps: Tensor, dim: int) -> Tensor:
    """Convolves rows or columns with weights of each picture's own, mirrored at the edges."""
    length = x.shape[dim]
    margins = (_REACH, _REACH, 0, 0) if dim == 3 else (0, 0, _REACH, _REACH)
    wide = nn.functional.pad(x, margins, mode="reflect")
    weights = taps.unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)  # (n, 4, 1, 1, 1)
    total = x * weights[:, 0]
    for away in range(1, _REACH + 1):
        before = wide.narrow(dim, _REACH - away, length)
        after = wide.narrow(dim, _REACH + away, length)
        total = total + (before + after) * weights[:, away]
    return total


def _inside(box: Tensor, side: int) -> Tensor:
    """Pixels inside of each picture's rectangle, (n, 1, side, side)."""
    place = torch.arange(side, device=box.device)
    top, left, bottom, right = (edge.reshape(-1, 1) for edge in box.unbind(1))
    rows = (place >= top) & (place < bottom)
    columns = (place >= left) & (place < right)
    return rows[:, None, :, None] & columns[:, None, None, :]
