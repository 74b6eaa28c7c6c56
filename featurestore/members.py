"""Members of a container: how they are named, and which are refused before a byte is read.

A container comes from anywhere: its names may lead out of it, its sizes may be made up to fill
memory, and its links point where they like. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import re
import stat
import zipfile

SEPARATOR = "::"
"""Stands between a container and its member: `archive.zip::folder/image.jpg`."""

MAX_MEMBER_BYTES = 2_000_000_000
_UNSUSPICIOUS_BYTES = 64_000_000
_MOST_UNPACKED = 100
"""Larger members may unpack to this many times what they take in the container: coded pictures
hardly shrink, and what shrinks more is made to fill memory."""

_NO_NAME = re.compile(r"[\x00-\x1f\x7f\\]|^/|^[A-Za-z]:|(?:^|/)\.{0,2}(?:/|$)|::|[\ud800-\udfff]")


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 0x1


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


def refuse_zip_entry(entry: zipfile.ZipInfo) -> str:
    """Why an entry of a zip archive is not read; empty if it may be."""
    mode = entry.external_attr >> 16
    if entry.flag_bits & _ENCRYPTED:
        return "encrypted"
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link or a device, no file"
    if entry.compress_type not in _METHODS:
        return f"packed by a method that is not read ({entry.compress_type})"
    # `filename` ends at the first NUL of the name in the archive.
    return refuse_name(entry.orig_filename) or refuse_size(entry.file_size, entry.compress_size)
