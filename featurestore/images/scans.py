"""Counts the scans of a JPEG before it is decoded.

Every scan may touch the whole picture again, whether or not it says anything, so a file of a few
hundred kilobytes can ask for minutes of work (the "scan bomb" that libjpeg-turbo's own manual warns
of). Cameras and programs write at most a dozen.
"""

from __future__ import annotations

import re

USUAL_SCANS = 20
MAX_SCANS = 64
MAX_SCANNED_PIXELS = 1_200_000_000
"""Scans times pixels, where there are more scans than usual: a few seconds of work."""

_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_START_OF_SCAN, _END = 0xDA, 0xD9
_ALONE = {0x01, *range(0xD0, 0xD9)}  # without a length: TEM, restarts, start of image


def has_too_many_scans(data: bytes, pixels: int) -> bool:
    """Whether decoding would take long for nothing.

    Args:
        data: Bytes of a JPEG.
        pixels: Of the picture.
    """
    if data.count(b"\xff\xda") <= USUAL_SCANS:  # among them those inside of thumbnails
        return False
    scans = _scans(data)
    return scans > MAX_SCANS or (scans > USUAL_SCANS and scans * pixels > MAX_SCANNED_PIXELS)


def _scans(data: bytes) -> int:
    """Number of scans; counting ends beyond `MAX_SCANS`."""
    scans = position = 0
    while scans <= MAX_SCANS and (found := _MARKER.search(data, position)):
        marker, position = found[1][0], found.end()
        if marker == _END:
            break
        if marker not in _ALONE:
            position += int.from_bytes(data[position : position + 2], "big")
            scans += marker == _START_OF_SCAN
    return scans
