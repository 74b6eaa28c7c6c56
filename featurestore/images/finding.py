"""Image files under folders, found by the id that their name carries."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from featurestore.errors import DataError
from featurestore.images.containers import (
    CONTAINER_SUFFIXES,
    joined,
    open_container,
    place_and_name,
)
from featurestore.images.dicom import is_dicom
from featurestore.images.masks import find_masks, is_grey
from featurestore.images.members import Listing
from featurestore.images.suffixes import COMPRESSED_TAR, IMAGE_SUFFIXES

ENDINGS = ("_downsampled",)
"""What archives put behind the id of a smaller copy of an image."""


def image_key(name: str, endings: Iterable[str] = (), whole: Collection[str] = ()) -> str:
    """The id in the name of a file, or in what a table calls it: both sides are treated alike.

    Args:
        name: Name of a file, or an id with or without the suffix of an image.
        endings: Of these the first that the name carries after the id is left out.
        whole: Ids that keep their ending.
    """
    stem = unicodedata.normalize("NFC", name)
    suffix = Path(stem).suffix
    if suffix.lower() in IMAGE_SUFFIXES:
        stem = stem.removesuffix(suffix)
    if stem in whole:
        return stem
    ending = next((e for e in endings if e and stem.endswith(e) and stem != e), "")
    return stem.removesuffix(ending)


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Image files of some folders and their subfolders, and of the containers in them.

    Attributes:
        files: Absolute paths, sorted; links are followed and keep their own names. Those in a
            container are `archive.zip::image.jpg` (`featurestore.images.containers`).
        broken: Links that are called like images and lead nowhere, sorted.
        refused: `(name, reason)` of what is not read of containers, and of containers.
    """

    files: tuple[Path, ...]
    broken: tuple[Path, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @classmethod
    def scan(cls, folders: Sequence[Path]) -> ImageFolder:
        """Lists the image files; hidden ones are none.

        An archive whose images all lie beside it as files is left out: somebody unpacked it.

        Args:
            folders: Folders, or containers of images.

        Raises:
            DataError: A folder does not exist or cannot be listed.
        """
        found: set[Path] = set()
        seen: set[tuple[int, int]] = set()
        for folder in folders:
            if folder.is_file() and folder.suffix.lower() in CONTAINER_SUFFIXES:
                found.add(folder.resolve())
            elif not folder.is_dir():
                raise DataError(f"no such image folder: {folder}")
            else:
                found.update(_files_under(folder.resolve(), seen))
        present = {path for path in found if path.is_file()}
        packed = {path for path in present if path.name.lower().endswith(_ARCHIVES)}
        files = present - packed
        members, refused = _members_of(sorted(packed), {path.name for path in files})
        broken = {path for path in found - present if not path.exists()}
        return cls(tuple(sorted([*files, *members])), tuple(sorted(broken)), tuple(refused))

    @cached_property
    def masks(self) -> tuple[Path, ...]:
        """The files that are drawings of where the lesion is, sorted."""
        return tuple(sorted(find_masks(self.files)))

    @cached_property
    def photographs(self) -> tuple[Path, ...]:
        """All other files, sorted."""
        masks = set(self.masks)
        return tuple(path for path in self.files if path not in masks)

    def by_id(
        self, endings: Sequence[str] = (), whole: Collection[str] = ()
    ) -> dict[str, list[Path]]:
        """Photographs by the id in their name (`image_key`), the shortest name first.

        Of several files with one id those of a folder in colour come before those in grey.
        """
        files: dict[str, list[Path]] = {}
        named = [(place_and_name(path), path) for path in self.photographs]
        for (_, name), path in sorted(named, key=lambda n: (len(Path(n[0][1]).stem), n[1])):
            files.setdefault(image_key(name, endings, whole), []).append(path)
        grey: dict[tuple[str, str], bool] = {}
        for paths in files.values():
            if len(paths) > 1:
                places = {path: (place_and_name(path)[0], path.suffix) for path in paths}
                for path, place in places.items():
                    if place not in grey:
                        grey[place] = is_grey(path)
                paths.sort(key=lambda p, places=places: grey[places[p]])  # type: ignore[misc]
        return files

    def without(self, claimed: Iterable[str]) -> list[Path]:
        """Photographs whose path is not among `claimed`."""
        taken = set(claimed)
        return [path for path in self.photographs if str(path) not in taken]


def shown_masks(folder: ImageFolder, roots: Sequence[Path]) -> list[str]:
    """Paths of the masks for people: relative to the folder that was named."""
    whole = [root.resolve() for root in roots]
    bases = [root if root.is_dir() else root.parent for root in whole]  # of an archive its folder
    return [
        next((m.relative_to(b).as_posix() for b in bases if m.is_relative_to(b)), str(m))
        for m in folder.masks
    ]


def _files_under(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Files that are called like images; a folder that links lead to twice is looked at once."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}") from None
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        path = folder / entry.name
        if entry.is_dir():
            yield from _files_under(path, seen)
        elif path.name.lower().endswith(_CALLED) or (_has_no_ending(path) and is_dicom(path)):
            yield path


_ARCHIVES = (*CONTAINER_SUFFIXES, *COMPRESSED_TAR)
_CALLED = (*IMAGE_SUFFIXES, *_ARCHIVES)


def _has_no_ending(path: Path) -> bool:
    """Whether a file has no ending, or one of digits, as DICOM files often have."""
    return not path.suffix or path.suffix[1:].isdigit()


def _members_of(
    containers: Sequence[Path], loose: Collection[str]
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Images in containers, and what is not read of them.

    Args:
        containers: Their paths.
        loose: Names of the images that lie beside them as files.
    """
    members: list[Path] = []
    refused: list[tuple[str, str]] = []
    for path in containers:
        if path.name.lower().endswith(COMPRESSED_TAR):
            refused.append((path.name, "a compressed tar archive; unpack it, or pack it as zip"))
            continue
        try:
            listing = open_container(path).listing()
        except DataError as error:
            refused.append((path.name, str(error)))
            continue
        if listing.names and all(name.rpartition("/")[2] in loose for name in listing.names):
            listing = Listing(())
            refused.append((path.name, "all of its images lie beside it as files"))
        members += [joined(path, name) for name in listing.names]
        refused += [(f"{path.name}::{name}", reason) for name, reason in listing.refused]
    return members, refused
