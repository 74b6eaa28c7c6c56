"""A JPEG of thousands of scans is refused before it is decoded; ordinary ones are not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from scans_example import scanned_jpeg, scanned_mpo

from featurestore.images.opening import UnreadableImage, inspect_image, open_image
from featurestore.images.scans import MAX_SCANS, USUAL_SCANS, has_too_many_scans

PIXELS = 64 * 48


@pytest.mark.parametrize(
    ("data", "pixels", "too_many"),
    [
        (scanned_jpeg(0), PIXELS, False),
        (scanned_jpeg(30), PIXELS, False),
        (scanned_jpeg(MAX_SCANS), PIXELS, True),
        (scanned_jpeg(8000), PIXELS, True),
        (scanned_jpeg(30), 200_000_000, True),
        (scanned_jpeg(0), 200_000_000, False),
        # Bytes of a comment are no scans.
        (scanned_jpeg(0, comment=b"\xff\xda" * 500), PIXELS, False),
        (scanned_jpeg(0) + b"\xff\xda" * 500, PIXELS, False),  # and nothing is read behind the end
        (b"\xff\xda" * (USUAL_SCANS + 1), PIXELS, False),
        (b"", PIXELS, False),
    ],
)
def test_scans_are_counted_as_a_decoder_does(data: bytes, pixels: int, too_many: bool) -> None:
    assert has_too_many_scans(data, pixels) is too_many


@pytest.mark.parametrize("bomb", [scanned_jpeg(3000), scanned_mpo(3000)], ids=["JPEG", "MPO"])
def test_every_way_to_a_picture_refuses_it(bomb: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="too many scans"):
        open_image(io.BytesIO(bomb), 10_000)
    (tmp_path / "a.jpg").write_bytes(bomb)
    assert inspect_image(tmp_path / "a.jpg", 10_000).reason == "too many scans"


@pytest.mark.parametrize("picture", [scanned_jpeg(3), scanned_mpo(3), scanned_mpo(0)])
def test_ordinary_ones_are_opened(picture: bytes) -> None:
    assert open_image(io.BytesIO(picture), 10_000).size == (64, 48)
