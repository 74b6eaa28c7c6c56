"""Image files are opened upright and in RGB, or refused with one of a few fixed reasons."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from featurestore.images.opening import UnreadableImage, inspect_image, open_image

MAX = 1_000_000


def picture(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth and without any symmetry: red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.dstack([x, y, (x * y) / 255]).astype(np.uint8))


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp"])
def test_common_formats_open_in_rgb(tmp_path: Path, suffix: str) -> None:
    opened = open_image(save(picture(), tmp_path / f"a.{suffix}"), MAX)
    assert (opened.mode, opened.size) == ("RGB", (60, 40))
    assert difference(opened, picture()) < 4


# Stored pixels that show the picture upright once the orientation is applied (EXIF 2.32).
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", list(STORED))
def test_orientation_is_applied_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    turn = STORED[orientation]
    stored = picture() if turn is None else picture().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, tmp_path / f"a.{suffix}", exif=exif)
    opened = open_image(path, MAX)
    assert opened.size == (60, 40)
    assert difference(opened, picture()) < 4
    facts = inspect_image(path, MAX)
    assert (facts.width, facts.height) == (60, 40)
    upright = inspect_image(save(picture(), tmp_path / "upright.png"), MAX)
    assert facts.thumbnail is not None
    assert upright.thumbnail is not None
    assert np.abs(facts.thumbnail.astype(int) - upright.thumbnail).mean() < 5


def test_draft_keeps_the_short_side(tmp_path: Path) -> None:
    path = save(picture(800, 600), tmp_path / "a.jpg")
    assert open_image(path, MAX, draft_size=150).size == (200, 150)
    assert open_image(path, MAX, draft_size=151).size == (400, 300)
    assert open_image(path, MAX, draft_size=1000).size == (800, 600)
    facts = inspect_image(path, MAX)
    assert (facts.width, facts.height) == (800, 600)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "I", "HSV"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    if mode in ("I;16", "I"):
        deep = np.arange(2400, dtype=np.uint16 if mode == "I;16" else np.int32).reshape(40, 60) * 27
        image = Image.fromarray(deep)
        assert image.mode == mode
    else:
        image = picture().convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr", "I", "HSV") else "a.png")
    if mode == "HSV":
        image = image.convert("RGB")  # no format stores it
    opened = open_image(save(image, path), MAX)
    assert (opened.mode, opened.size) == ("RGB", (60, 40))
    assert inspect_image(path, MAX).reason is None
    assert np.asarray(opened).std() > 10


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert open_image(save(clear, tmp_path / "a.png"), MAX).getpixel((3, 3)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((8, 8), 0x8000, dtype=np.uint16))
    assert open_image(save(deep, tmp_path / "a.png"), MAX).getpixel((3, 3)) == (128, 128, 128)


def test_of_several_frames_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert open_image(path, MAX).getpixel((2, 2)) == (255, 0, 0)


def broken(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.jpg"
    whole = io.BytesIO()
    picture(400, 300).save(whole, "JPEG")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "absent":
        path.write_bytes(
            {
                "empty": b"",
                "text": b"<html>Forbidden</html>",
                "truncated": whole.getvalue()[: len(whole.getvalue()) // 2],
                "bomb": png_header(60_000, 60_000),
                "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
                "float": float_tiff(),
            }[kind]
        )
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def float_tiff() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(out, "TIFF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("absent", "no such file"),
        ("folder", "not a file"),
        ("pipe", "not a file"),
        ("empty", "empty file"),
        ("text", "not an image"),
        ("postscript", "not an image"),
        ("truncated", "truncated"),
        ("bomb", "larger than 1 megapixels"),
        ("float", "floating-point pixels"),
    ],
)
def test_unusable_files_have_a_reason(tmp_path: Path, kind: str, reason: str) -> None:
    path = broken(kind, tmp_path)
    with pytest.raises(UnreadableImage) as caught:
        open_image(path, MAX)
    assert caught.value.reason == reason
    facts = inspect_image(path, MAX)
    assert (facts.reason, facts.width, facts.height, facts.hashes) == (reason, 0, 0, None)
    assert bool(facts.sha256) == path.is_file()


def test_the_limit_counts_pixels_of_the_header(tmp_path: Path) -> None:
    path = save(picture(), tmp_path / "a.png")
    assert open_image(path, 2400).size == (60, 40)
    with pytest.raises(UnreadableImage, match=r"larger than 0.002399 megapixels"):
        open_image(path, 2399)


def test_a_limit_above_the_one_of_pillow_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_header(20_000, 10_000))
    with pytest.raises(UnreadableImage) as caught:
        open_image(path, 300_000_000)
    assert "megapixels" not in caught.value.reason


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from(["jpeg", "png", "tiff", "webp", "gif"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), min_size=1, max_size=6),
    end=st.floats(0.05, 1),
)
def test_damaged_files_open_or_have_a_reason(
    tmp_path: Path, suffix: str, cuts: list[tuple[float, bytes]], end: float
) -> None:
    out = io.BytesIO()
    picture().save(out, suffix)
    data = bytearray(out.getvalue())
    for position, new in cuts:
        at = int(position * (len(data) - 1))
        data[at : at + len(new)] = new
    path = tmp_path / "a"
    path.write_bytes(data[: int(len(data) * end)])
    facts = inspect_image(path, MAX)
    assert (facts.reason is None) == (facts.hashes is not None)
    assert outcome_of_opening(path) in {"RGB", "truncated", "damaged", "not an image"} or (
        "megapixels" in outcome_of_opening(path)
    )


def outcome_of_opening(path: Path) -> str:
    try:
        return open_image(path, MAX).mode
    except UnreadableImage as error:
        return error.reason
