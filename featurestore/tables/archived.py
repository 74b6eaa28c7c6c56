"""Tables that lie in a zip archive, named by one text: `archive.zip::folder/table.csv`."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from pathlib import Path
from typing import IO

from featurestore.errors import DataError, one_line
from featurestore.members import SEPARATOR, is_hidden, refuse_name, refuse_zip_entry

_SPLIT = re.compile(r"^(.+?\.zip)::(.+)$", re.IGNORECASE | re.DOTALL)


def split_archived(path: Path) -> tuple[Path, str] | None:
    """Archive and member of a path that leads into one, or None for a file."""
    found = _SPLIT.match(str(path))
    return None if found is None else (Path(found[1]), found[2])


@dataclasses.dataclass(frozen=True)
class Archived:
    """A file in a zip archive.

    Attributes:
        path: The path that leads to it.
        name: Its name without folders.
        size: Bytes that the archive says it has.
    """

    path: Path
    name: str
    size: int


def archived_files(archive: Path) -> list[Archived]:
    """All files in a zip archive, sorted by name, but for hidden ones.

    Those that are refused when they are read are among them, so that a person is told.

    Raises:
        DataError: It is no zip archive, or damaged.
    """
    with _opened(archive) as file:
        entries = [e for e in file.infolist() if not e.is_dir() and not is_hidden(e.filename)]
    sizes = {e.filename: e.file_size for e in entries if not refuse_name(e.orig_filename)}
    return [
        Archived(Path(f"{archive}{SEPARATOR}{name}"), name.rpartition("/")[2], sizes[name])
        for name in sorted(sizes)
    ]


def open_binary(path: Path) -> IO[bytes]:
    """A file, or a member of a zip archive, opened for reading.

    Raises:
        DataError: The member is not there, is refused, or the archive is damaged.
        OSError: A file cannot be opened.
    """
    inside = split_archived(path)
    if inside is None:
        return path.open("rb")
    with _opened(inside[0]) as archive:
        entry = _entry(archive, path, inside[1])
        return archive.open(entry)  # stays open when the archive is closed


def size_of(path: Path) -> int | None:
    """Bytes of a regular file or of a member of a zip archive, or None where there is none.

    Raises:
        DataError: The member is refused, or the archive is damaged.
        OSError: A file cannot be asked.
    """
    inside = split_archived(path)
    if inside is None:
        return path.stat().st_size if path.is_file() else None
    if not inside[0].is_file():
        return None
    with _opened(inside[0]) as archive:
        return _entry(archive, path, inside[1]).file_size


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{archive}: not a readable zip archive ({one_line(error, 100)})") from None


def _entry(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo:
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise DataError(f"no such file in its archive: {path}") from None
    reason = refuse_zip_entry(entry)
    if reason:
        raise DataError(f"{path}: {reason}")
    return entry
