from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from extractor.images import Geometry, Preprocessing, decode, fit_square, resampling_of
from featurestore.images.opening import UnreadableImage

LIMIT = 10_000_000
Picture = Callable[..., Image.Image]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stored_rotated_with_the_tag_equals_the_upright_one(
    picture: Picture, orientation: int
) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = picture(1, 90, 61)
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    geometry = Geometry(48)
    expected = decode(encoded(upright, "PNG"), [geometry], LIMIT)[geometry]
    result = decode(encoded(stored, "PNG", exif=exif), [geometry], LIMIT)[geometry]
    np.testing.assert_array_equal(result, expected)


def test_the_result_does_not_depend_on_what_else_is_asked_for(picture: Picture) -> None:
    data = encoded(picture(2, 3000, 2200), "JPEG", quality=90)
    small, usual, large = Geometry(64), Geometry(224), Geometry(700, "bilinear")
    together = decode(data, [large, small, usual, small], LIMIT)
    assert set(together) == {small, usual, large}
    for geometry in (small, usual, large):
        alone = decode(data, [geometry], LIMIT)[geometry]
        np.testing.assert_array_equal(together[geometry], alone)


def test_usual_sizes_share_one_decode() -> None:
    assert {Geometry(s).decode_short_side for s in (64, 128, 224, 240, 256)} == {512}
    for size in (32, 257, 299, 512, 1024):
        assert Geometry(size).decode_short_side >= max(512, 2 * size)


def test_reduced_decoding_gives_nearly_the_picture_of_full_decoding(picture: Picture) -> None:
    image = picture(3, 2400, 1800)
    geometry = Geometry(128)
    reduced = decode(encoded(image, "JPEG", quality=95), [geometry], LIMIT)[geometry]
    full = decode(encoded(image, "PNG"), [geometry], LIMIT)[geometry]
    assert np.abs(reduced.astype(int) - full.astype(int)).mean() < 2.0


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.sampled_from([32, 33, 64, 96]),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_fills_the_square(width: int, height: int, size: int) -> None:
    rng = np.random.default_rng(width * 1000 + height)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    square = fit_square(image, Geometry(size))
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8


def test_the_whole_picture_is_seen_unsquashed_and_edges_are_mirrored() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    square = fit_square(Image.fromarray(pixels), Geometry(64))
    np.testing.assert_array_equal(square[16:48], pixels)
    np.testing.assert_array_equal(square[:16], pixels[:16][::-1])
    np.testing.assert_array_equal(square[48:], pixels[16:][::-1])


def test_the_resize_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    square = fit_square(Image.fromarray(stripes), Geometry(64))
    assert np.abs(square.astype(int) - 127).max() < 32


def test_a_grey_picture_becomes_rgb(picture: Picture) -> None:
    geometry = Geometry(32)
    grey = decode(encoded(picture(4).convert("L"), "PNG"), [geometry], LIMIT)[geometry]
    assert grey.shape == (32, 32, 3)
    assert (grey[..., 0] == grey[..., 1]).all()


@pytest.mark.parametrize("data", [b"", b"this is text", b"\xff\xd8\xff\xe0 no jpeg"])
def test_bytes_that_are_no_image_are_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(UnreadableImage) as caught:
        decode(data, [Geometry(32)], LIMIT)
    assert caught.value.reason


def test_a_picture_with_too_many_pixels_is_refused(picture: Picture) -> None:
    with pytest.raises(UnreadableImage):
        decode(encoded(picture(5, 200, 100), "PNG"), [Geometry(32)], max_pixels=19_999)


def test_the_record_is_canonical_and_names_what_decides_the_pixels() -> None:
    mean, std = (0.5, 0.25, 0.125), (1.0, 2.0, 4.0)
    text = Preprocessing(Geometry(224, "bilinear"), mean, std).to_json()
    record = json.loads(text)
    assert text == json.dumps(record, sort_keys=True, separators=(",", ":"))
    assert record["size"] == 224
    assert record["decode_short_side"] == 512
    assert record["mean"] == list(mean)
    assert record["std"] == list(std)
    others = [
        Preprocessing(Geometry(225, "bilinear"), mean, std),
        Preprocessing(Geometry(224), mean, std),
        Preprocessing(Geometry(224, "bilinear"), std, mean),
    ]
    assert len({text, *(o.to_json() for o in others)}) == 4


def test_resampling_that_is_not_offered_becomes_bicubic() -> None:
    assert [resampling_of(n) for n in ("bilinear", "bicubic", "lanczos")] == [
        "bilinear",
        "bicubic",
        "bicubic",
    ]
