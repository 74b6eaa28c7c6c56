"""Reads files that are plain files and no larger than they may be.

Failures are `OSError` with a `strerror` for people, as those of the operating system are: a caller
that names the path of one names it of the other. A pipe or a device in a file's place would block
its reader or never end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 2_000_000_000


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a whole file.

    Args:
        path: The file.
        max_bytes: A larger one is refused.

    Raises:
        OSError: It cannot be read, is no plain file, or is too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe does not wait
    status = os.fstat(descriptor)
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(min(status.st_size, max_bytes) + 1)  # memory is taken for what is asked
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return data


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Reads a whole UTF-8 file.

    Raises:
        OSError: It cannot be read, is no plain file, or is too large.
        UnicodeDecodeError: It is no UTF-8.
    """
    return read_bytes(path, max_bytes).decode("utf-8")
