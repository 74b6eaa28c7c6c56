"""Which members of a container are images, and which are refused before a byte of them is read.

A container comes from anywhere: its names may lead out of it, its sizes may be made up to fill
memory, and its links point where they like. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Protocol

SEPARATOR = "::"
"""Stands between a container and its member: `archive.zip::folder/image.jpg`."""

MAX_MEMBER_BYTES = 2_000_000_000
_UNSUSPICIOUS_BYTES = 64_000_000
_MOST_UNPACKED = 100
"""Larger members may unpack to this many times what they take in the container: coded pictures
hardly shrink, and what shrinks more is made to fill memory."""

_NO_NAME = re.compile(r"[\x00-\x1f\x7f\\]|^/|^[A-Za-z]:|(?:^|/)\.{0,2}(?:/|$)|::|[\ud800-\udfff]")


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


def is_hidden(name: str) -> bool:
    """Whether a member is one that people never see, as macOS puts beside each file."""
    parts = [part for part in name.split("/") if part not in (".", "..")]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def refuse_name(name: str) -> str:
    """Why a member of this name is not read; empty if it may be."""
    return "its name leads out of the archive, or is no path" if _NO_NAME.search(name) else ""


def refuse_size(size: int, packed: int) -> str:
    """Why a member is not unpacked; empty if it may be.

    Args:
        size: Bytes that the container says it has.
        packed: Bytes that it takes in the container.
    """
    if size > MAX_MEMBER_BYTES:
        return f"larger than {MAX_MEMBER_BYTES:,} bytes"
    if size > _UNSUSPICIOUS_BYTES and size > _MOST_UNPACKED * packed:
        return f"would unpack to more than {_MOST_UNPACKED} times its size"
    return ""


def sorted_listing(found: Mapping[str, str]) -> Listing:
    """A listing out of names with the reason against each, empty for those that are read."""
    names = sorted(name for name, reason in found.items() if not reason)
    refused = sorted((name, reason) for name, reason in found.items() if reason)
    return Listing(tuple(names), tuple(refused))
