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
        waiting: Requests between their last byte and their answer; more are answered 503. Bodies
            that are still arriving may together hold as many bytes as so many of the largest.
        body_seconds: How long a body may take to arrive.
        body_rate: Bytes a second that a body must bring on average, after `body_start_seconds`.
        body_start_seconds: See there.
        header_seconds: How long the headers of a request may take to arrive.
        ending_seconds: How long requests that wait when the service is told to end may still take;
            the rest is answered 503.
    """

    upload_bytes: int = 30_000_000
    pixels: int = 60_000_000
    images: int = 5
    metadata_bytes: int = 2_000_000
    waiting: int = 32
    body_seconds: float = 60.0
    body_rate: float = 20_000.0
    body_start_seconds: float = 5.0
    header_seconds: float = 10.0
    ending_seconds: float = 20.0
