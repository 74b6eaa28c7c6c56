"""JPEGs whose last scan stands many times."""

from __future__ import annotations

import io

from PIL import Image

GREY_BROWN = (120, 80, 60)


def scanned_jpeg(scans: int, size: tuple[int, int] = (64, 48), **more: object) -> bytes:
    """A progressive JPEG with so many scans more than usual, which say nothing."""
    buffer = io.BytesIO()
    Image.new("RGB", size, GREY_BROWN).save(buffer, "JPEG", progressive=True, **more)
    return _repeated(buffer.getvalue(), scans)


def scanned_mpo(scans: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """The same with a second picture behind it, as cameras with two lenses write it."""
    buffer = io.BytesIO()
    picture = Image.new("RGB", size, GREY_BROWN)
    picture.save(buffer, "MPO", save_all=True, append_images=[picture], progressive=True)
    return _repeated(buffer.getvalue(), scans)


def _repeated(data: bytes, scans: int) -> bytes:
    end = data.find(b"\xff\xd9")
    last = data.rfind(b"\xff\xda", 0, end)
    return data[:end] + data[last:end] * scans + data[end:]
