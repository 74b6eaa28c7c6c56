"""Image files under folders, found by the id that their name carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from featurestore.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Image files of some folders and their subfolders.

    Attributes:
        files: Absolute paths, sorted.
    """

    files: tuple[Path, ...]

    @classmethod
    def scan(cls, folders: Sequence[Path]) -> ImageFolder:
        """Lists the image files.

        Raises:
            DataError: A folder does not exist or cannot be listed.
        """
        found: set[Path] = set()
        for folder in folders:
            if not folder.is_dir():
                raise DataError(f"no such image folder: {folder}")
            try:
                paths = list(folder.resolve().rglob("*"))
            except OSError as error:
                raise DataError(f"cannot list {folder}: {error.strerror}") from None
            found.update(p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES)
        return cls(tuple(sorted(found)))

    def by_id(self, endings: Sequence[str]) -> dict[str, list[Path]]:
        """Files by the id in their name: the name without suffix and without one of `endings`."""
        files: dict[str, list[Path]] = {}
        for path in self.files:
            ending = next((e for e in endings if e and path.stem.endswith(e)), "")
            files.setdefault(path.stem.removesuffix(ending), []).append(path)
        return files

    def without(self, claimed: Iterable[str]) -> list[Path]:
        """Files whose path is not among `claimed`."""
        taken = set(claimed)
        return [path for path in self.files if str(path) not in taken]
