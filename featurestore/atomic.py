"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from featurestore.locks import holding

TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.part")
_WITHOUT_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}


@dataclasses.dataclass
class Nameless:
    """A file that is being written.

    Attributes:
        path: Where its bytes go for now.
        name: What it will be called; to be said before the block ends.
    """

    path: Path
    name: str = ""


@contextlib.contextmanager
def appearing_in(folder: Path) -> Iterator[Nameless]:
    """Yields a temporary file in a folder; when the block ends it has the name that was given.

    The content, the rename and folders that had to be made are durable when this returns. If the
    block raises, nothing has that name that had it not before. The temporary file is locked while
    its writer lives, so that a collector of left-over files can tell it from one of a writer that
    was killed.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    make_folder(folder)
    file = Nameless(folder / f".{uuid.uuid4().hex}.part")
    try:
        with holding(file.path):
            yield file
            with file.path.open("rb+") as written:
                os.fsync(written.fileno())
            file.path.replace(folder / file.name)
            sync_folder(folder)
    finally:
        with contextlib.suppress(OSError):
            file.path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file in the same folder; when the block ends it becomes `path`.

    See `appearing_in`.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    with appearing_in(path.parent) as file:
        file.name = path.name
        yield file.path


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text; readers see the old or the new content, never a part.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[None]:
    """Takes away what a failed block left at a path where nothing was before.

    A disk may fail when everything is written but the name is not durable yet: an error was told,
    and what lies there would refuse the repetition of the command.

    Raises:
        OSError: That of the block.
    """
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, durably: a committed file must not lose its folder.

    Raises:
        OSError: The folder cannot be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames inside a folder durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _WITHOUT_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
