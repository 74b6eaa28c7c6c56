"""Finds the image files that rows name by id, in folders, archives and HDF5 files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from featurestore.errors import name_some
from featurestore.images import ENDINGS, ImageFolder, image_key, place_and_name, shown_masks
from featurestore.tables import exclusions_table
from featurestore.units import counted

_MOST_STRANGERS = 10_000


@dataclasses.dataclass(frozen=True)
class FoundFiles:
    """Files of the rows.

    Attributes:
        paths: Path of each row's file as text, NaN where there is none.
        exclusions: Rows without file, files without row, masks, and what is not read.
        hint: What else lies there, for a message when nothing was found.
    """

    paths: pd.Series
    exclusions: pd.DataFrame
    hint: str


def find_files(rows: pd.DataFrame, places: Sequence[Path], stage: str) -> FoundFiles:
    """Finds the file of each row by the id or the name that it gives, in any case.

    A name with folders in it must end the path of its file.

    Args:
        rows: `image_id`, `file`, and `other_file` where there are two ways to name files.
        places: Folders and archives.
        stage: Stage for the exclusions.

    Raises:
        DataError: A folder does not exist or cannot be listed.
    """
    folder = ImageFolder.scan(places)
    by_key: dict[str, list[Path]] = {}
    for key, paths in folder.by_id().items():
        by_key.setdefault(key.casefold(), []).extend(paths)
    excluded = [
        ("image", mask, stage, "a mask, not a photograph") for mask in shown_masks(folder, places)
    ]
    excluded += [("image", name, stage, reason) for name, reason in folder.refused]
    excluded += [("image", p.stem, stage, "a link that leads nowhere") for p in folder.broken]
    where = name_some([str(place) for place in places], 3)
    names = [rows[c] for c in ("file", "other_file") if c in rows.columns]
    found: list[str | None] = []
    for image, *spelled in zip(rows["image_id"], *names, strict=True):
        paths = next((p for n in spelled if (p := _named(n, by_key))), [])
        found.append(str(paths[0]) if paths else None)
        if not paths:
            excluded.append(("image", str(image), stage, f"no file of this id under {where}"))
        elif len(paths) > 1:
            reason = f"{len(paths)} files have this id; {paths[0]} used"
            excluded.append(("value", str(image), stage, reason))
    taken = {key for n in names for text in n.dropna() for key in _keys(text)}
    strangers = sorted(key for key in by_key if key not in taken)
    excluded += [
        ("image", place_and_name(by_key[key][0])[1], stage, "no row names it")
        for key in strangers[:_MOST_STRANGERS]
    ]
    if len(strangers) > _MOST_STRANGERS:
        rest = f"{len(strangers) - _MOST_STRANGERS:,} more files"
        excluded.append(("image", rest, stage, "no row names them"))
    return FoundFiles(
        pd.Series(found, index=rows.index, dtype="str"),
        exclusions_table(excluded),
        what_else(folder),
    )


def _keys(text: str) -> tuple[str, ...]:
    """What the key of a file may be, whose name or id a row gives."""
    name = text.replace("\\", "/").rpartition("/")[2]
    key = image_key(name).casefold()
    short = image_key(name, ENDINGS).casefold()
    return (key, short, *(f"{key}{ending}" for ending in ENDINGS))


def _named(text: object, by_key: dict[str, list[Path]]) -> list[Path]:
    """Files that a row's text names, those of the same case first."""
    if not isinstance(text, str):
        return []
    whole = text.replace("\\", "/")
    folders, _, name = whole.rpartition("/")
    paths = next((by_key[key] for key in _keys(text) if key in by_key), [])
    if folders and paths:
        end = f"/{folders}/".casefold()
        paths = [p for p in paths if f"{_folder(p)}/".casefold().endswith(end)]
    return sorted(paths, key=lambda p: image_key(place_and_name(p)[1]) != image_key(name))


def _folder(path: Path) -> str:
    """Folder of a file, that of an archive among them."""
    return "/" + place_and_name(path)[0].replace("::", "/")


def what_else(folder: ImageFolder) -> str:
    """What lies in folders without an image that a table names, in brackets; may be empty."""
    said = [counted(len(folder.photographs), "other image")] if folder.photographs else []
    said += [counted(len(folder.masks), "mask")] if folder.masks else []
    said += [f"{name}: {reason}" for name, reason in folder.refused[:2]]
    return f" ({'; '.join(said)})" if said else ""
