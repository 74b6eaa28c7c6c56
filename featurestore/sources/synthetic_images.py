"""Renders dermoscopy-like photographs of lesions that a program made up.

A lesion is painted once, in its own frame, from four signs of dermoscopy (asymmetry, border
irregularity, colour variegation, blue-white veil; the A, B and C of the ABCD rule of Stolz et al.
1994 and the veil of the 7-point checklist of Argenziano et al. 1998). It is then photographed
under conditions that know nothing of the signs. The pictures look plausible to a layperson; they
are no model of skin.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image, ImageDraw

CANVAS = 320  # side of a lesion's own frame in pixels
_REACH = 1.75  # the frame spans [-_REACH, _REACH] lesion radii
_EXIF_ORIENTATION = 0x0112
# How pixels are stored so that a viewer that honours EXIF sees the picture upright.
_STORED_AS: dict[int, Image.Transpose | None] = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
ORIENTATIONS = tuple(_STORED_AS)

_LIGHT_BROWN = (176, 120, 82)
_DARK_BROWN = (98, 60, 38)
_VEIL = (128, 142, 176)
_PATCHES = ((38, 30, 32), (64, 40, 28), (164, 78, 68), (196, 160, 144))  # black, brown, red, white
_FAIR_SKIN = (238, 198, 176)
_TAN_SKIN = (206, 156, 126)


@dataclasses.dataclass(frozen=True)
class LesionSigns:
    """How strongly a lesion shows each sign, from 0 (absent) to 1 (marked)."""

    asymmetry: float
    border_irregularity: float
    colour_variegation: float
    blue_white_veil: float


@dataclasses.dataclass(frozen=True)
class Acquisition:
    """Conditions of one photograph; none of them knows the lesion or the outcome.

    Attributes:
        width: Pixels of the upright picture.
        height: Pixels of the upright picture.
        orientation: EXIF orientation: 1, 3, 6 or 8.
        quality: JPEG quality.
        hairs: Number of hairs in front of the lesion.
        radius: Radius of the lesion as a share of the short side.
        offset_x: Centre of the lesion off the centre of the picture, as a share of the short side.
        offset_y: The same, downwards.
        turn: Rotation of the lesion in radians.
        exposure: Brightness factor.
        warmth: Colour cast, from -1 (cold) to 1 (warm).
        vignette: Darkening of the corners, 0 to 1.
    """

    width: int
    height: int
    orientation: int
    quality: int
    hairs: int
    radius: float
    offset_x: float
    offset_y: float
    turn: float
    exposure: float
    warmth: float
    vignette: float

    def __post_init__(self) -> None:
        if self.orientation not in _STORED_AS:
            raise ValueError(f"orientation {self.orientation} is not one of {ORIENTATIONS}")


@dataclasses.dataclass(frozen=True)
class Lesion:
    """A painted lesion in its own frame.

    Attributes:
        colour: float32 (CANVAS, CANVAS, 3), 0 to 255.
        cover: float32 (CANVAS, CANVAS), 0 (skin) to 1 (lesion).
    """

    colour: np.ndarray
    cover: np.ndarray


def paint_lesion(signs: LesionSigns, rng: np.random.Generator) -> Lesion:
    """Paints a lesion with the given signs.

    Args:
        signs: Strength of the four signs.
        rng: Source of everything about the lesion that is not a sign: tone, network, layout.

    Returns:
        The lesion; its area does not depend on the signs.
    """
    axis = np.linspace(-_REACH, _REACH, CANVAS, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    cover = _cover(x, y, signs, rng)
    colour = np.empty((CANVAS, CANVAS, 3), dtype=np.float32)
    colour[:] = _between(_LIGHT_BROWN, _DARK_BROWN, rng.uniform(0.2, 0.7))
    _tint(colour, _DARK_BROWN, 0.5 * _soft_step(_clouds(rng, 9), 0.5))
    tilt = rng.uniform(0, 2 * np.pi)
    slope = _soft_step(x * np.cos(tilt) + y * np.sin(tilt), 0.3)
    _tint(colour, _DARK_BROWN, 0.75 * signs.asymmetry * slope)
    colour *= (1 - rng.uniform(0.05, 0.22) * _network(x, y, rng))[..., None]
    for patch in _PATCHES:
        field = 0.75 * _clouds(rng, 6) + 0.25 * _clouds(rng, 22)
        where = _soft_step(field - 1.3 + 1.1 * signs.colour_variegation, 0.2)
        _tint(colour, patch, 0.9 * signs.colour_variegation * where)
    centre = rng.uniform(-0.3, 0.3, size=2)
    blob = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 0.35)
    veil = np.clip(blob * (1 + 0.35 * _clouds(rng, 8)), 0, 1)
    _tint(colour, _VEIL, 0.8 * signs.blue_white_veil * veil)
    return Lesion(colour, cover)


def photograph(
    lesion: Lesion, acquisition: Acquisition, skin: float, rng: np.random.Generator
) -> Image.Image:
    """Takes an upright RGB picture of a lesion.

    Args:
        lesion: The painted lesion.
        acquisition: Conditions of the photograph.
        skin: Tone of the patient's skin, 0 (fair) to 1 (tan).
        rng: Source of skin texture, hair and sensor noise.
    """
    size = (acquisition.width, acquisition.height)
    picture = _skin(size, skin, rng)
    cover, colour = _placed(lesion, acquisition)
    picture += cover[..., None] * (colour - picture)
    picture = _drawn_hairs(picture, acquisition.hairs, rng)
    picture *= _light(acquisition)
    noise = rng.standard_normal((size[1] // 2 + 1, size[0]), dtype=np.float32) * 3
    picture += np.repeat(noise, 2, axis=0)[: size[1], :, None]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def encode_jpeg(picture: Image.Image, acquisition: Acquisition) -> bytes:
    """Encodes an upright picture as a camera held at `acquisition.orientation` would store it."""
    stored_as = _STORED_AS[acquisition.orientation]
    stored = picture if stored_as is None else picture.transpose(stored_as)
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = acquisition.orientation
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=acquisition.quality, exif=exif)
    return buffer.getvalue()


def _cover(
    x: np.ndarray, y: np.ndarray, signs: LesionSigns, rng: np.random.Generator
) -> np.ndarray:
    """A disc pulled out of shape by low harmonics (asymmetry) and noise (irregular border)."""
    angle = np.arctan2(y, x)
    radius = 1 + 0.1 * rng.uniform(0.5, 1.5) * np.cos(2 * angle + rng.uniform(0, 2 * np.pi))
    for k, pull in ((1, 0.30), (3, 0.20)):
        pull *= signs.asymmetry * rng.uniform(0.7, 1.3)
        radius += pull * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    depth = np.clip(radius, 0.3, None) - np.hypot(x, y)
    ragged = 0.2 * _clouds(rng, 9) + 0.11 * _clouds(rng, 18) + 0.06 * _clouds(rng, 40)
    depth += (0.06 + 0.75 * signs.border_irregularity) * ragged
    disc = np.pi / (2 * _REACH) ** 2  # share of the frame that a disc of radius 1 covers
    return _soft_step(depth - np.quantile(depth, 1 - disc), rng.uniform(0.03, 0.07))


def _network(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lines of a warped honeycomb (pigment network), 0 to 1."""
    pitch, turn = rng.uniform(34, 48), rng.uniform(0, np.pi)
    lines = np.zeros_like(x)
    for third in range(3):
        a = turn + third * np.pi / 3
        lines += np.cos(pitch * (x * np.cos(a) + y * np.sin(a)) + 1.6 * _clouds(rng, 10))
    fading = 0.5 + 0.5 * _soft_step(_clouds(rng, 5), 0.4)
    return fading * _soft_step(-lines - 0.3, 0.4)


def _skin(size: tuple[int, int], tone: float, rng: np.random.Generator) -> np.ndarray:
    width, height = size
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[:] = _between(_FAIR_SKIN, _TAN_SKIN, tone)
    picture *= 1 + 0.03 * _clouds(rng, 5, size)[..., None]
    picture *= 1 + 0.018 * _clouds(rng, max(width // 8, 2), size)[..., None]
    picture[..., 1:] *= 1 - 0.025 * _clouds(rng, 7, size)[..., None]  # redness
    return picture


def _placed(lesion: Lesion, shot: Acquisition) -> tuple[np.ndarray, np.ndarray]:
    """Cover (h, w) and colour (h, w, 3) of the lesion in the picture's frame."""
    short = min(shot.width, shot.height)
    scale = CANVAS / (2 * _REACH) / (shot.radius * short)  # canvas pixels a picture pixel
    cos, sin = scale * np.cos(shot.turn), scale * np.sin(shot.turn)
    centre_x = shot.width / 2 + shot.offset_x * short
    centre_y = shot.height / 2 + shot.offset_y * short
    affine = (
        cos,
        -sin,
        CANVAS / 2 - cos * centre_x + sin * centre_y,
        sin,
        cos,
        CANVAS / 2 - sin * centre_x - cos * centre_y,
    )
    rgba = np.dstack([lesion.colour, 255 * lesion.cover]).clip(0, 255).astype(np.uint8)
    moved = Image.fromarray(rgba).transform(
        (shot.width, shot.height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    )
    planes = np.asarray(moved, dtype=np.float32)
    return planes[..., 3] / 255, planes[..., :3]


def _drawn_hairs(picture: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    if count == 0:
        return picture
    height, width = picture.shape[:2]
    layer = Image.new("L", (width, height))
    pen = ImageDraw.Draw(layer)
    step = np.linspace(0, 1, 24)[:, None]
    lie = rng.uniform(0, np.pi)  # hairs of one region lie roughly in one direction
    for _ in range(count):
        turn, length = lie + rng.normal(0, 0.5), rng.uniform(0.3, 0.9) * width
        reach = length * np.array((np.cos(turn), np.sin(turn)))
        start = rng.uniform(0, 1, size=2) * (width, height) - reach / 2
        bend = rng.normal(0, 0.15) * np.array((-reach[1], reach[0]))
        curve = start + step * reach + 4 * step * (1 - step) * bend
        shade = int(rng.integers(120, 225))
        pen.line([(float(a), float(b)) for a, b in curve], fill=shade, width=1 + (width > 450))
    dark = np.asarray(layer, dtype=np.float32)[..., None] / 255
    return picture + dark * (np.array((52, 36, 30), dtype=np.float32) - picture)


def _light(shot: Acquisition) -> np.ndarray:
    """Factor (h, w, 3) of exposure, colour cast and vignetting."""
    x = np.linspace(-1, 1, shot.width, dtype=np.float32)
    y = np.linspace(-1, 1, shot.height, dtype=np.float32)
    corner = (x[None, :] ** 2 + y[:, None] ** 2) / 2
    cast = np.array([1 + 0.03 * shot.warmth, 1, 1 - 0.04 * shot.warmth], dtype=np.float32)
    dimming = np.float32(shot.exposure) * (1 - np.float32(shot.vignette) * corner**2)
    return dimming[..., None] * cast


def _clouds(
    rng: np.random.Generator, cells: int, size: tuple[int, int] = (CANVAS, CANVAS)
) -> np.ndarray:
    """Smooth noise (h, w) with mean about 0 and standard deviation about 1."""
    rows = max(2, round(cells * size[1] / size[0]))
    coarse = rng.standard_normal((rows, cells), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(smooth) * np.float32(1.25)


def _soft_step(values: np.ndarray, softness: float) -> np.ndarray:
    return 1 / (1 + np.exp(np.clip(-values / np.float32(softness), -30, 30)))


def _tint(colour: np.ndarray, towards: tuple[int, int, int], share: np.ndarray) -> None:
    colour += share[..., None] * (np.array(towards, dtype=np.float32) - colour)


def _between(first: tuple[int, int, int], second: tuple[int, int, int], share: float) -> np.ndarray:
    return (1 - share) * np.array(first, np.float32) + share * np.array(second, np.float32)
