"""From the bytes of an image file to the square of pixels that a backbone takes.

The result depends on the bytes and on the `Geometry` only, never on which other backbones run or
on what else is in the batch; everything that decides it stands in the preprocessing record of an
encoder identity. Normalisation happens on the device (`extractor.backbones`).
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable

import numpy as np
from PIL import Image

from featurestore.images import open_image

VERSION = 1
"""Raised when this module gives other pixels for the same bytes, so that old embeddings are
not mixed with new ones. Versions of Pillow are held by the lock file instead."""

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How a picture becomes a square; backbones with equal geometry share the work.

    The whole picture is scaled until its longer side fits, and the rest of the square is filled
    by mirroring the picture at its edges. A centre crop would cut lesions that fill the frame; a
    squash would change asymmetry and border, which are the signs that dermatologists read; bars of
    one colour show the camera's aspect ratio still more plainly than mirrored edges do. Measured
    with ImageNet features on 244 archive images, malignant or benign, AUROC differs by less than
    its noise: mirrored 0.786, bars 0.787, squashed 0.780, cropped 0.768 (aspect ratio from the
    features, R2: 0.45, 0.54, 0.28, 0.17). A site may be recognised by it; folds by site tell.

    Attributes:
        size: Side of the square in pixels.
        resampling: `bilinear` or `bicubic`, both antialiased.
    """

    size: int
    resampling: str = "bicubic"

    @property
    def decode_short_side(self) -> int:
        """Shortest side in pixels to which a JPEG may be reduced while it is decoded.

        At least twice the target, so that the antialiased resize has what it needs, and rounded up
        so that backbones of usual sizes share one decode.
        """
        return max(512, -(-2 * self.size // 256) * 256)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Everything between the bytes of a file and the input of a backbone.

    Attributes:
        geometry: Decode and resize.
        mean: Subtracted from each of red, green, blue in [0, 1].
        std: Divided by, after the mean was subtracted.
    """

    geometry: Geometry
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def to_json(self) -> str:
        """Returns the canonical JSON that an encoder identity holds."""
        record = {
            "version": VERSION,
            "colour": "RGB, EXIF-upright",
            "decode_short_side": self.geometry.decode_short_side,
            "size": self.geometry.size,
            "fit": "whole picture, mirrored edges",
            "resampling": f"{self.geometry.resampling}, antialiased",
            "mean": list(self.mean),
            "std": list(self.std),
        }
        return json.dumps(record, sort_keys=True, separators=(",", ":"))


def decode(
    data: bytes, geometries: Iterable[Geometry], max_pixels: int
) -> dict[Geometry, np.ndarray]:
    """Decodes an image file once per decode size and lays it out for each geometry.

    Args:
        data: Bytes of the whole file.
        geometries: The wanted squares.
        max_pixels: Pictures with more pixels are refused.

    Returns:
        For each geometry an array (size, size, 3) of uint8.

    Raises:
        UnreadableImage: The bytes are no complete image, or a refused one.
    """
    groups: dict[int, list[Geometry]] = {}
    for geometry in dict.fromkeys(geometries):
        groups.setdefault(geometry.decode_short_side, []).append(geometry)
    squares: dict[Geometry, np.ndarray] = {}
    for short_side, group in groups.items():
        picture = open_image(io.BytesIO(data), max_pixels, short_side)
        squares |= {geometry: fit_square(picture, geometry) for geometry in group}
    return squares


def fit_square(picture: Image.Image, geometry: Geometry) -> np.ndarray:
    """Scales an upright RGB picture into a square and mirrors its edges into the rest.

    Returns:
        Array (size, size, 3) of uint8.
    """
    target = _fitted(picture.size, geometry)
    pixels = np.asarray(picture.resize(target, _RESAMPLING[geometry.resampling]))
    horizontal, vertical = (_margins(geometry.size - side) for side in target)
    return np.pad(pixels, (vertical, horizontal, (0, 0)), mode="symmetric")


def picture_box(size: tuple[int, int], geometry: Geometry) -> tuple[int, int, int, int]:
    """Where the picture lies in its square: left, top, right, bottom; the rest is mirrored.

    Args:
        size: Width and height of the picture that `fit_square` was given.
        geometry: The square.
    """
    width, height = _fitted(size, geometry)
    left, top = _margins(geometry.size - width)[0], _margins(geometry.size - height)[0]
    return left, top, left + width, top + height


def resampling_of(name: str) -> str:
    """Returns the resampling that timm names for a backbone, or bicubic for one not offered."""
    return name if name in _RESAMPLING else "bicubic"


def _fitted(size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """Width and height of a picture that is scaled into the square."""
    scale = geometry.size / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _margins(rest: int) -> tuple[int, int]:
    return rest // 2, rest - rest // 2
