from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from featurestore.sources.synthetic_images import (
    ORIENTATIONS,
    Acquisition,
    LesionSigns,
    encode_jpeg,
    paint_lesion,
    photograph,
)

PLAIN = Acquisition(
    width=160,
    height=120,
    orientation=1,
    quality=90,
    hairs=0,
    radius=0.3,
    offset_x=0.0,
    offset_y=0.0,
    turn=0.3,
    exposure=1.0,
    warmth=0.0,
    vignette=0.2,
)
NONE = LesionSigns(0, 0, 0, 0)


def paint(signs: LesionSigns, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    lesion = paint_lesion(signs, np.random.default_rng(seed))
    return lesion.colour, lesion.cover > 0.5


def shoot(seed: int = 0, signs: LesionSigns = NONE, **changes: object) -> Image.Image:
    rng = np.random.default_rng(seed)
    shot = dataclasses.replace(PLAIN, **changes)  # type: ignore[arg-type]
    return photograph(paint_lesion(signs, rng), shot, 0.3, rng)


def roughness(inside: np.ndarray) -> int:
    """Length of the border in pixels."""
    return int((inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum())


@pytest.mark.parametrize("seed", range(3))
def test_area_does_not_depend_on_the_signs(seed: int) -> None:
    _, none = paint(NONE, seed)
    _, full = paint(LesionSigns(1, 1, 1, 1), seed)
    assert full.mean() == pytest.approx(none.mean(), rel=0.02)
    assert not (full[0] | full[-1] | full[:, 0] | full[:, -1]).any(), "the lesion leaves its frame"


@pytest.mark.parametrize("seed", range(3))
def test_border_irregularity_roughens_the_border(seed: int) -> None:
    _, smooth = paint(NONE, seed)
    _, rough = paint(dataclasses.replace(NONE, border_irregularity=1), seed)
    assert roughness(rough) > 1.3 * roughness(smooth)


@pytest.mark.parametrize("seed", range(3))
def test_asymmetry_makes_the_halves_differ(seed: int) -> None:
    def difference(signs: LesionSigns) -> float:
        _, inside = paint(signs, seed)
        rows, columns = np.nonzero(inside)
        centred = np.roll(
            inside,
            (
                inside.shape[0] // 2 - round(rows.mean()),
                inside.shape[1] // 2 - round(columns.mean()),
            ),
            axis=(0, 1),
        )
        return float((centred != centred[::-1, ::-1]).sum() / inside.sum())

    assert difference(dataclasses.replace(NONE, asymmetry=1)) > difference(NONE)


@pytest.mark.parametrize("seed", range(3))
def test_variegation_spreads_the_colours(seed: int) -> None:
    plain, inside = paint(NONE, seed)
    varied, inside_varied = paint(dataclasses.replace(NONE, colour_variegation=1), seed)
    spread = varied[inside_varied].std(axis=0).sum()
    assert spread > 1.3 * plain[inside].std(axis=0).sum()


@pytest.mark.parametrize("seed", range(3))
def test_veil_turns_the_middle_blue(seed: int) -> None:
    plain, inside = paint(NONE, seed)
    veiled, _ = paint(dataclasses.replace(NONE, blue_white_veil=1), seed)

    def blueness(colour: np.ndarray) -> float:
        return float((colour[inside][:, 2] - colour[inside][:, 0]).mean())

    assert blueness(veiled) > blueness(plain) + 15


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert encode_jpeg(shoot(3, hairs=4), PLAIN) == encode_jpeg(shoot(3, hairs=4), PLAIN)
    assert encode_jpeg(shoot(3), PLAIN) != encode_jpeg(shoot(4), PLAIN)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_brings_every_picture_upright(orientation: int) -> None:
    upright = shoot(offset_x=0.15)
    data = encode_jpeg(upright, dataclasses.replace(PLAIN, orientation=orientation, quality=95))
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.getexif().get(0x0112) == orientation
        assert stored.size == ((160, 120) if orientation in (1, 3) else (120, 160))
        seen = ImageOps.exif_transpose(stored)
    assert seen.size == (160, 120)
    difference = np.asarray(seen, dtype=float) - np.asarray(upright, dtype=float)
    assert np.abs(difference).mean() < 6


def test_the_lesion_is_darker_than_the_skin_and_lies_where_asked() -> None:
    grey = np.asarray(shoot(offset_x=0.2).convert("L"), dtype=float)
    assert grey[60, 104] < grey[10:20, 20:40].mean() - 30
    left, right = grey[40:80, :40].mean(), grey[40:80, 90:118].mean()
    assert right < left


def test_hairs_darken_a_few_pixels() -> None:
    bald, hairy = (np.asarray(shoot(hairs=n).convert("L"), dtype=float) for n in (0, 8))
    changed = (np.abs(bald - hairy) > 40).mean()
    assert 0 < changed < 0.2


def test_unknown_orientation_is_refused() -> None:
    with pytest.raises(ValueError, match="orientation 5"):
        dataclasses.replace(PLAIN, orientation=5)
