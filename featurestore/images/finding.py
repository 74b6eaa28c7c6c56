"""Image files under folders, found by the id that their name carries."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from PIL import Image

from featurestore.errors import DataError
from featurestore.images.masks import find_masks, is_grey
from featurestore.images.opening import FORMATS

IMAGE_SUFFIXES = tuple(
    sorted(ending for ending, form in Image.registered_extensions().items() if form in FORMATS)
)
"""Endings of every format that is decoded, in lower case."""

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
    """Image files of some folders and their subfolders.

    Attributes:
        files: Absolute paths, sorted; links are followed and keep their own names.
        broken: Links that are called like images and lead nowhere, sorted.
    """

    files: tuple[Path, ...]
    broken: tuple[Path, ...] = ()

    @classmethod
    def scan(cls, folders: Sequence[Path]) -> ImageFolder:
        """Lists the image files; hidden ones are none.

        Raises:
            DataError: A folder does not exist or cannot be listed.
        """
        found: set[Path] = set()
        seen: set[tuple[int, int]] = set()
        for folder in folders:
            if not folder.is_dir():
                raise DataError(f"no such image folder: {folder}")
            found.update(_files_under(folder.resolve(), seen))
        files = {path for path in found if path.is_file()}
        broken = {path for path in found - files if not path.exists()}
        return cls(tuple(sorted(files)), tuple(sorted(broken)))

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
        for path in sorted(self.photographs, key=lambda p: (len(p.stem), p)):
            files.setdefault(image_key(path.name, endings, whole), []).append(path)
        grey: dict[tuple[Path, str], bool] = {}
        for paths in files.values():
            if len(paths) > 1:
                for path in paths:
                    place = (path.parent, path.suffix)
                    if place not in grey:
                        grey[place] = is_grey(path)
                paths.sort(key=lambda p: grey[p.parent, p.suffix])
        return files

    def without(self, claimed: Iterable[str]) -> list[Path]:
        """Photographs whose path is not among `claimed`."""
        taken = set(claimed)
        return [path for path in self.photographs if str(path) not in taken]


def shown_masks(folder: ImageFolder, roots: Sequence[Path]) -> list[str]:
    """Paths of the masks for people: relative to the folder that was named."""
    bases = [root.resolve() for root in roots]
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
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield path
