"""How much one request may ask for, and how many may wait."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of the service; together they bound its memory.

    Attributes:
        upload_bytes: Largest body of a request.
        pixels: Larger pictures are refused by their header.
        images: Most images of a request.
        metadata_bytes: Largest metadata part.
        waiting: Requests between their first byte and their answer; more are answered 503.
        body_seconds: How long a body may take to arrive.
    """

    upload_bytes: int = 30_000_000
    pixels: int = 60_000_000
    images: int = 5
    metadata_bytes: int = 2_000_000
    waiting: int = 32
    body_seconds: float = 60.0
