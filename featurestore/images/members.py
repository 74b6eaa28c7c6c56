"""What a container of images is: a listing of its members, and the bytes of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

IN_AN_ARCHIVE = "packed inside an archive; unpack the outer one"
"""Why a container in a container is not read: it could be reached through memory only."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """The images of a container.

    Attributes:
        names: Names of the members, sorted; read when they are asked for.
        refused: `(name, reason)` of members that are called like images and are not read.
    """

    names: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()


class Container(Protocol):
    """An opened container; any number of threads may read it."""

    def listing(self) -> Listing:
        """Its images."""
        ...

    def read(self, name: str, max_bytes: int) -> bytes:
        """Bytes of one member.

        Raises:
            UnreadableImage: It is not there, is refused, or cannot be read.
        """
        ...


def sorted_listing(found: Mapping[str, str]) -> Listing:
    """A listing out of names with the reason against each, empty for those that are read."""
    names = sorted(name for name, reason in found.items() if not reason)
    refused = sorted((name, reason) for name, reason in found.items() if reason)
    return Listing(tuple(names), tuple(refused))
