"""Images of a plain table: which file each row shows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pydantic

from featurestore.config import Section
from featurestore.images import ImageFolder, shown_masks
from featurestore.sources.base import ReadContext
from featurestore.sources.named_images import find_files
from featurestore.tables import exclusions_table, known_text

_STAGE = "read"


class TableImages(Section):
    """Which image a row belongs to, where the table has one row an image.

    Attributes:
        image_id: Column of image ids.
        path: Column of file names, relative to `folder`; or else `pattern` or `folders` find them.
        folder: Folder of the images, relative to the data root.
        pattern: File name with `{image_id}` in it.
        folders: Folders and archives that are searched, with their subfolders and the archives in
            them, for files whose name is the image id, in any case and with any ending.
        lesion_id: Column of lesion ids.
        role: Column that says how each image was taken (`close-up`, `dermoscopic`); a modality of
            the ablation can be the images of one role.
        licence: Licence of all images.
        attribution: Whom all images are attributed to.
    """

    image_id: str
    path: str | None = None
    folder: Path = Path()
    pattern: str | None = None
    folders: tuple[Path, ...] = ()
    lesion_id: str | None = None
    role: str | None = None
    licence: str = "unknown"
    attribution: str = "unknown"

    @pydantic.model_validator(mode="after")
    def _one_way_to_files(self) -> TableImages:
        if [self.path is None, self.pattern is None, not self.folders].count(False) != 1:
            raise ValueError(
                "name either a path column, or a pattern such as '{image_id}.jpg', or folders"
            )
        if self.pattern is not None and "{image_id}" not in self.pattern:
            raise ValueError("the pattern needs {image_id} in it")
        return self


def find_images(
    pictures: TableImages,
    table: pd.DataFrame,
    rows: pd.DataFrame,
    path: Path,
    context: ReadContext,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images whose file exists (index as in `rows`), and what had no counterpart."""
    if pictures.folders:
        named = rows[["image_id"]].assign(file=rows["image_id"])
        found = find_files(named, [context.data_root / f for f in pictures.folders], _STAGE)
        files, exclusions = found.paths, found.exclusions
        exists = files.notna()
    else:
        files, exists, exclusions = _files_in_folder(pictures, table, rows, context)
    images = pd.DataFrame(
        {
            "image_id": rows["image_id"],
            "patient_id": rows["patient_id"],
            "lesion_id": known_text(table[pictures.lesion_id]).values if pictures.lesion_id else "",
            "path": files,
            "source": path.name,
            "licence": pictures.licence,
            "attribution": pictures.attribution,
        },
        dtype="str",
    )
    if pictures.role is not None:
        images["image_role"] = known_text(table[pictures.role]).values
    return images[exists], exclusions


def _files_in_folder(
    pictures: TableImages, table: pd.DataFrame, rows: pd.DataFrame, context: ReadContext
) -> tuple[pd.Series, pd.Series, pd.DataFrame]:
    """Path of each row's file, whether it is there, and what had no counterpart."""
    folder = (context.data_root / pictures.folder).resolve()
    if pictures.path is not None:
        names = known_text(table[pictures.path]).values
    else:
        assert pictures.pattern is not None  # checked by the section
        names = rows["image_id"].map(lambda i: str(pictures.pattern).replace("{image_id}", i))
    files = names.map(lambda name: str(folder / name), na_action="ignore")
    exists = files.map(lambda file: Path(file).is_file(), na_action="ignore").fillna(False)
    excluded = [
        (
            "image",
            str(rows.at[k, "image_id"]),
            _STAGE,
            "no file name in its row" if pd.isna(names[k]) else f"no file {names[k]} in {folder}",
        )
        for k in rows.index[~exists.astype(bool)]
    ]
    if pictures.pattern is not None:
        around = ImageFolder.scan([folder])
        unclaimed = around.without(files[files.notna()])
        excluded += [("image", str(f), _STAGE, "no row of the table names it") for f in unclaimed]
        claimed = set(files[files.notna()])
        excluded += [
            ("image", shown, _STAGE, "a mask, not a photograph")
            for shown, mask in zip(shown_masks(around, [folder]), around.masks, strict=True)
            if str(mask) not in claimed
        ]
    return files, exists.astype(bool), exclusions_table(excluded)
