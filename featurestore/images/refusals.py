"""Why an image cannot be used, in a few fixed words."""

from __future__ import annotations


class UnreadableImage(Exception):
    """An image file that cannot be used.

    Attributes:
        reason: A short fixed text, such as `empty file` or `truncated`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
