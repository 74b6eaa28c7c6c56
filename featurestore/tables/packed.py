"""Bytes of a file, unpacked where gzip packed them; what unpacks without end is refused."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from featurestore.errors import DataError
from featurestore.tables.archived import open_binary

GZIP = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31  # window bits
_CHUNK = 1 << 20


def read_unpacked(path: Path, limit: int, whole: bool) -> tuple[bytes, bool]:
    """Reads a file, or its beginning.

    Args:
        path: The file.
        limit: Most bytes of content.
        whole: Whether more than `limit` bytes are an error, rather than left out.

    Returns:
        The content, and whether it is all of it.

    Raises:
        DataError: The file cannot be read, is damaged, or is larger than it may be.
    """
    try:
        with open_binary(path) as file:
            packed = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
        raise DataError(f"{path}: damaged in its archive; download it again") from None
    is_cut = len(packed) > limit
    try:
        data, is_cut = (
            _inflate(packed, limit, is_cut) if packed.startswith(GZIP) else (packed, is_cut)
        )
    except zlib.error:
        raise DataError(f"{path}: damaged gzip file; download it again") from None
    if is_cut and whole:
        raise DataError(f"{path}: more than {limit:,} bytes when unpacked; that is refused")
    return data[:limit], not is_cut


def _inflate(packed: bytes, limit: int, is_cut: bool) -> tuple[bytes, bool]:
    """Up to one byte more than `limit` out of one or several gzip members.

    Args:
        packed: The file, or its beginning.
        limit: Most bytes of content.
        is_cut: Whether it is only the beginning.

    Returns:
        The content, and whether there is more.

    Raises:
        zlib.error: The file is damaged, or ends too early.
    """
    parts: list[bytes] = []
    length = 0
    while packed.startswith(GZIP) and length <= limit:
        stream = zlib.decompressobj(_WITH_GZIP_HEADER)
        waiting = packed
        while waiting and not stream.eof and length <= limit:
            part = stream.decompress(waiting, min(_CHUNK, limit + 1 - length))
            parts.append(part)
            length += len(part)
            waiting = stream.unconsumed_tail
        if not stream.eof and length <= limit and not is_cut:
            raise zlib.error("the file ends too early")
        packed = stream.unused_data
    return b"".join(parts), is_cut or length > limit
