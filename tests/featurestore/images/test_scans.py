"""A JPEG of thousands of scans is refused before it is decoded; ordinary ones are not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from featurestore.images.opening import UnreadableImage, inspect_image, open_image
from featurestore.images.scans import MAX_SCANS, USUAL_SCANS, has_too_many_scans

PIXELS = 64 * 48


def jpeg(scans: int, size: tuple[int, int] = (64, 48), **more: object) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (120, 80, 60)).save(buffer, "JPEG", progressive=True, **more)
    data = buffer.getvalue()
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * scans + data[-2:]


@pytest.mark.parametrize(
    ("data", "pixels", "too_many"),
    [
        (jpeg(0), PIXELS, False),
        (jpeg(30), PIXELS, False),
        (jpeg(MAX_SCANS), PIXELS, True),
        (jpeg(8000), PIXELS, True),
        (jpeg(30), 200_000_000, True),
        (jpeg(0), 200_000_000, False),
        (jpeg(0, comment=b"\xff\xda" * 500), PIXELS, False),  # bytes of a comment are no scans
        (jpeg(0) + b"\xff\xda" * 500, PIXELS, False),  # and nothing is read behind the end
        (b"\xff\xda" * (USUAL_SCANS + 1), PIXELS, False),
        (b"", PIXELS, False),
    ],
)
def test_scans_are_counted_as_a_decoder_does(data: bytes, pixels: int, too_many: bool) -> None:
    assert has_too_many_scans(data, pixels) is too_many


def test_every_way_to_a_picture_refuses_it(tmp_path: Path) -> None:
    bomb = jpeg(3000)
    with pytest.raises(UnreadableImage, match="too many scans"):
        open_image(io.BytesIO(bomb), 10_000)
    (tmp_path / "a.jpg").write_bytes(bomb)
    assert inspect_image(tmp_path / "a.jpg", 10_000).reason == "too many scans"
    assert open_image(io.BytesIO(jpeg(3)), 10_000).size == (64, 48)
