from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.config_finetune import AugmentConfig
from extractor.finetune.augment import augmenter, source_size

NEUTRAL = {
    "flips": False,
    "rotation": 0,
    "brightness": 0,
    "contrast": 0,
    "saturation": 0,
    "hue": 0,
    "crop_scale": (1.0, 1.0),
    "blur": 0,
    "dropout": 0,
}


def only(**steps: object) -> AugmentConfig:
    return AugmentConfig.model_validate(NEUTRAL | steps)


def picture(height: int = 40, width: int = 40, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (1, 3, 5, 5)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), (height, width))
    return smooth[0].to(torch.uint8)


def test_neutral_settings_return_the_picture() -> None:
    original = picture()
    for seed in range(20):
        assert torch.equal(augmenter(only())(original, seed), original)


@settings(deadline=None)
@given(
    height=st.integers(16, 70), width=st.integers(16, 70), seed=st.integers(0, 2**63 - 1),
    size=st.one_of(st.none(), st.integers(16, 64)),
)  # fmt: skip
def test_a_picture_and_a_seed_decide_the_result(
    height: int, width: int, seed: int, size: int | None
) -> None:
    original = picture(height, width)
    kept = original.clone()
    config = AugmentConfig(blur=0.5, dropout=0.5)
    varied = augmenter(config, size)(original, seed)
    assert varied.dtype == torch.uint8
    assert tuple(varied.shape) == (3, size or height, size or width)
    assert torch.equal(original, kept)
    torch.rand(7)  # what others draw in between changes nothing
    np.random.default_rng().random()
    assert torch.equal(augmenter(config, size)(original, seed), varied)


def test_seeds_differ_and_the_global_generator_is_left_alone() -> None:
    augment = augmenter(AugmentConfig())
    state = torch.get_rng_state()
    results = {augment(picture(), seed).numpy().tobytes() for seed in range(30)}
    assert len(results) == 30
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("size", [64, 320])
def test_threads_change_nothing(size: int) -> None:
    """At 320 pixels a side a mean of 8-bit values is no longer exact in single precision."""
    augment = augmenter(AugmentConfig(blur=0.5, dropout=1.0), size)
    original = picture(size, size)
    expected = [augment(original, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: augment(original, seed), range(12)))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_flips_are_the_four_mirror_images_equally_often() -> None:
    original = picture()
    mirrored = {
        original.flip(dims).numpy().tobytes(): name
        for dims, name in [((), "none"), ((1,), "up"), ((2,), "left"), ((1, 2), "both")]
    }
    augment = augmenter(only(flips=True))
    names = [mirrored[augment(original, seed).numpy().tobytes()] for seed in range(400)]
    counts = {name: names.count(name) for name in mirrored.values()}
    assert set(counts) == {"none", "up", "left", "both"}
    assert all(60 < n < 140 for n in counts.values())


def test_rotation_turns_about_the_middle_and_mirrors_the_corners() -> None:
    """The colour of a disc around the middle stays; no corner is black."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    disc = np.where(rows**2 + columns**2 < 15**2, 200, 90).astype(np.uint8)
    original = torch.from_numpy(disc).expand(3, 64, 64).contiguous()
    for seed in range(10):
        varied = augmenter(only(rotation=180))(original, seed)
        assert int(varied.min()) >= 89
        assert (varied.int() - original.int()).abs().float().mean() < 2.5
    angles = {augmenter(only(rotation=180))(picture(), s).numpy().tobytes() for s in range(9)}
    assert len(angles) == 9


def test_crops_keep_the_configured_share_of_the_area() -> None:
    """A ramp from 0 to 255 over the width: what is left of its span is the width of the crop."""
    ramp = torch.linspace(0, 255, 256).to(torch.uint8).expand(3, 256, 256).contiguous()
    areas = []
    for seed in range(60):
        across = augmenter(only(crop_scale=(0.25, 0.25)), 64)(ramp, seed)
        along = augmenter(only(crop_scale=(0.25, 0.25)), 64)(ramp.transpose(1, 2), seed)
        span = [int(v.max()) - int(v.min()) for v in (across, along)]
        areas.append((span[0] / 252) * (span[1] / 252))
    assert np.mean(areas) == pytest.approx(0.25, abs=0.02)
    assert max(areas) < 0.3


def test_colours_change_within_their_limits() -> None:
    grey = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    values = [int(augmenter(only(brightness=0.2))(grey, s)[0, 0, 0]) for s in range(200)]
    assert min(values) >= 79
    assert max(values) <= 121
    assert max(values) - min(values) > 35
    for neutral_to_grey in ("contrast", "saturation", "hue"):
        changed = augmenter(only(**{neutral_to_grey: 0.3}))
        assert all((changed(grey, s).int() - 100).abs().max() <= 1 for s in range(20))
    coloured = picture()
    for step in ("contrast", "saturation", "hue"):
        assert not torch.equal(augmenter(only(**{step: 0.3}))(coloured, 1), coloured)


def test_blur_smooths() -> None:
    noise = torch.randint(0, 256, (3, 48, 48), generator=torch.Generator().manual_seed(0))
    original = noise.to(torch.uint8)
    spread = [augmenter(only(blur=1))(original, s).float().std() for s in range(20)]
    assert max(spread) <= original.float().std() + 1e-3
    assert min(spread) < original.float().std() / 2


def test_dropout_blanks_one_rectangle_with_the_mean() -> None:
    original = picture(50, 50)
    mean = original.float().mean(dim=(1, 2)).to(torch.uint8)
    shares = []
    for seed in range(60):
        varied = augmenter(only(dropout=1))(original, seed)
        changed = (varied != original).any(dim=0)
        rows, columns = torch.where(changed)
        box = varied[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (box == mean[:, None, None]).float().mean() > 0.99
        shares.append(box[0].numel() / 2500)
    assert min(shares) > 0.01
    assert max(shares) < 0.22


@settings(deadline=None)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.integers(32, 512))
def test_the_source_is_as_much_larger_as_crops_are_smaller(a: float, b: float, size: int) -> None:
    config = only(crop_scale=(min(a, b), max(a, b)))
    source = source_size(config, size)
    assert source >= size
    assert source**2 * np.sqrt(a * b) == pytest.approx(size**2, rel=2 / size + 0.02)


def test_a_pipeline_of_its_own_gets_the_size_it_is_given() -> None:
    assert source_size(only(albumentations=Path("pipeline.json")), 224) == 224


@pytest.mark.parametrize("scale", [(0.9, 0.5), (0.0, 1.0), (0.5, 1.1)])
def test_crop_scales_out_of_range_are_refused(scale: tuple[float, float]) -> None:
    with pytest.raises(pydantic.ValidationError, match=r"between 0\.05 and 1"):
        only(crop_scale=scale)
