"""Images that lie in an archive or an HDF5 file, named by one text: `archive.zip::image.jpg`.

Such a path travels like any other, as `Path`; only what opens files has to know. A container is
opened once a process and read by any number of threads; a process that is forked opens its own.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from featurestore.errors import DataError
from featurestore.images.archives import TarImages, ZipImages
from featurestore.images.hdf5_images import Hdf5Images
from featurestore.images.members import Container
from featurestore.images.refusals import UnreadableImage
from featurestore.members import MAX_MEMBER_BYTES, SEPARATOR

_OPENED_AT_ONCE = 32
_SPLIT = re.compile(r"^(.+?\.(?:zip|tar|h5|hdf5))::(.+)$", re.IGNORECASE | re.DOTALL)

_lock = threading.RLock()
_opened: OrderedDict[tuple[str, int, int, int], Container] = OrderedDict()


_OPENERS: dict[str, Callable[[Path], Container]] = {
    ".zip": ZipImages,
    ".tar": TarImages,
    ".h5": Hdf5Images,
    ".hdf5": Hdf5Images,
}
CONTAINER_SUFFIXES = tuple(_OPENERS)


def split(path: Path | str) -> tuple[Path, str] | None:
    """Container and member of a path that leads into one, or None for a file."""
    found = _SPLIT.match(str(path))
    return None if found is None else (Path(found[1]), found[2])


def joined(container: Path, member: str) -> Path:
    """The path of a member."""
    return Path(f"{container}{SEPARATOR}{member}")


def place_and_name(path: Path) -> tuple[str, str]:
    """Folder of a file and its name; of a member, container and folder in it, and its name."""
    found = split(path)
    if found is None:
        return path.parent.as_posix(), path.name
    folder, _, name = found[1].rpartition("/")
    return f"{found[0].as_posix()}{SEPARATOR}{folder}", name


def open_container(path: Path) -> Container:
    """The container, opened now or before.

    Raises:
        DataError: It cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    key = (str(path), status.st_ino, status.st_mtime_ns, status.st_size)
    with _lock:
        if key not in _opened:
            _opened[key] = _OPENERS[path.suffix.lower()](path)
            if len(_opened) > _OPENED_AT_ONCE:
                _opened.popitem(last=False)  # closed when its last reader is done
        _opened.move_to_end(key)
        return _opened[key]


def read_member(container: Path, member: str, max_bytes: int = MAX_MEMBER_BYTES) -> bytes:
    """Bytes of a member.

    Raises:
        UnreadableImage: Container or member is not there, is refused, or cannot be read.
    """
    if not container.is_file():
        raise UnreadableImage("no such file")
    try:
        opened = open_container(container)
    except DataError:
        raise UnreadableImage("its archive cannot be read") from None
    return opened.read(member, max_bytes)


def _forget() -> None:
    """A forked process must not share the places in files with its parent."""
    global _lock
    _lock = threading.RLock()
    _opened.clear()


os.register_at_fork(after_in_child=_forget)
