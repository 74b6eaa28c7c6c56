"""Images inside zip and tar archives, read where they lie."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from pathlib import Path

from featurestore.errors import DataError
from featurestore.images.members import IN_AN_ARCHIVE, Listing, sorted_listing
from featurestore.images.refusals import UnreadableImage
from featurestore.images.suffixes import IMAGE_SUFFIXES, PACKED_SUFFIXES
from featurestore.members import is_hidden, refuse_name, refuse_size, refuse_zip_entry

_TWICE = "named twice in its archive"


class ZipImages:
    """Images of a zip archive; its directory is read once."""

    def __init__(self, path: Path) -> None:
        """Reads the directory.

        Raises:
            DataError: It is no zip archive, or damaged.
        """
        try:
            self._file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"{path}: not a readable zip archive ({_short(error)})") from None
        found: dict[str, str] = {}
        for entry in self._file.infolist():
            name = entry.filename
            if entry.is_dir() or not _is_called(name):
                continue
            found[name] = _TWICE if name in found else _refuse_entry(entry)
        self._listing = sorted_listing(found)
        self._refused = dict(self._listing.refused)

    def listing(self) -> Listing:
        """Its images."""
        return self._listing

    def read(self, name: str, max_bytes: int) -> bytes:
        """Bytes of one member, no more than its directory entry says.

        Raises:
            UnreadableImage: It is not there, is refused, or cannot be read.
        """
        if name in self._refused:
            raise UnreadableImage(self._refused[name])
        try:
            entry = self._file.getinfo(name)
        except KeyError:
            raise UnreadableImage("no such file") from None
        reason = _refuse_entry(entry)
        if reason or entry.file_size > max_bytes:
            raise UnreadableImage(reason or f"larger than {max_bytes:,} bytes")
        try:
            with self._file.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
            raise UnreadableImage("damaged in its archive") from None
        except OSError:
            raise UnreadableImage("cannot be read from disk") from None
        if len(data) != entry.file_size:
            raise UnreadableImage("damaged in its archive")
        return data


class TarImages:
    """Images of a tar archive that is not compressed; its headers are read once."""

    def __init__(self, path: Path) -> None:
        """Reads the headers.

        Raises:
            DataError: It is no tar archive, is compressed, or is damaged.
        """
        found: dict[str, str] = {}
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for entry in archive:
                    name = entry.name.removeprefix("./")
                    if entry.isdir() or not _is_called(name):
                        continue
                    found[name] = _TWICE if name in found else _refuse_header(entry, name)
                    self._places[name] = (entry.offset_data, entry.size)
            self._descriptor = os.open(path, os.O_RDONLY)
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: not a readable tar archive ({_short(error)})") from None
        self._listing = sorted_listing(found)
        self._refused = dict(self._listing.refused)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def listing(self) -> Listing:
        """Its images."""
        return self._listing

    def read(self, name: str, max_bytes: int) -> bytes:
        """Bytes of one member.

        Raises:
            UnreadableImage: It is not there, is refused, or cannot be read.
        """
        if name in self._refused:
            raise UnreadableImage(self._refused[name])
        if name not in self._places:
            raise UnreadableImage("no such file")
        offset, size = self._places[name]
        if size > max_bytes:
            raise UnreadableImage(f"larger than {max_bytes:,} bytes")
        # The sizes in the headers of a file that was cut may be larger than the file.
        size = min(size, max(0, os.fstat(self._descriptor).st_size - offset))
        try:
            data = os.pread(self._descriptor, size, offset)
        except OSError:
            raise UnreadableImage("cannot be read from disk") from None
        if len(data) != self._places[name][1]:
            raise UnreadableImage("damaged in its archive")
        return data


def _is_called(name: str) -> bool:
    """Whether a member is called like an image, or like a container of them, and is not hidden."""
    return name.lower().endswith((*IMAGE_SUFFIXES, *PACKED_SUFFIXES)) and not is_hidden(name)


def _refuse_entry(entry: zipfile.ZipInfo) -> str:
    return _refuse_archive(entry.filename) or refuse_zip_entry(entry)


def _refuse_header(entry: tarfile.TarInfo, name: str) -> str:
    if not entry.isreg() or entry.issparse():
        return "a link or a device, no file"
    return _refuse_archive(name) or refuse_name(name) or refuse_size(entry.size, entry.size)


def _refuse_archive(name: str) -> str:
    """Why a container inside an archive is not read; empty for an image."""
    return IN_AN_ARCHIVE if name.lower().endswith(PACKED_SUFFIXES) else ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
