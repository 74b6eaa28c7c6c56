"""ISIC: archive exports, `isic-cli` downloads, challenge files and HAM10000."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pandas as pd
import pydantic

from featurestore.config import Section
from featurestore.errors import DataError, name_some
from featurestore.images.finding import ImageFolder
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, SourceTables
from featurestore.sources.isic_layouts import recognise, translate
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import EXCLUSION_COLUMNS, exclusions_table
from featurestore.tables.ids import require_unique
from featurestore.tables.merging import first_known
from featurestore.tables.parsing import (
    known_text,
    parse_binary,
    parse_levels,
    parse_numbers,
    rejected_values,
)
from featurestore.tables.reading import read_table

_STAGE = "read"
_MISSING = ("unknown",)
_MASKS = r"_(?:superpixels|segmentation|attribute_\w+)$"

# What the archive knows of a person, and the site of the lesion; the rest stays with the image.
ARCHIVE_COLUMNS: tuple[Column, ...] = (
    Column("age", "numeric", "demographic", "Age (approximate)", unit="years"),
    Column("sex", "nominal", "demographic", "Sex", levels=("female", "male")),
    Column("anatomical_site", "nominal", "lesion", "Anatomical site"),
    Column(
        "fitzpatrick",
        "ordinal",
        "demographic",
        "Fitzpatrick skin type",
        levels=("I", "II", "III", "IV", "V", "VI"),
    ),
    Column("personal_history", "binary", "history", "Personal history of melanoma"),
    Column("family_history", "binary", "history", "Family history of melanoma"),
)
_NAMES = tuple(column.name for column in ARCHIVE_COLUMNS)


@dataclasses.dataclass(frozen=True)
class _Metadata:
    """All metadata files as one table of text, one row an image."""

    rows: pd.DataFrame
    layouts: list[str]
    headers: dict[str, set[str]]  # what each column is called in the files
    tokens: dict[str, set[str]]  # texts that were read as missing in it
    conflicts: pd.DataFrame


class IsicSource(Section):
    """ISIC metadata files and image folders.

    Attributes:
        kind: Always `isic`.
        metadata: Metadata files; several are merged by image id. Where two files disagree, the
            one listed first counts and the difference is reported.
        images: Folders that are searched, with their subfolders, for `<image id>.jpg` and the like.
        suffixes: Endings that a file name may carry after the image id.
        columns: Patient columns to use, of those the files have; all by default.
        licence: Licence of images whose metadata names none (challenge files).
        attribution: Attribution of images whose metadata names none.
    """

    kind: Literal["isic"] = "isic"
    metadata: tuple[Path, ...] = pydantic.Field(min_length=1)
    images: tuple[Path, ...] = pydantic.Field(min_length=1)
    suffixes: tuple[str, ...] = ("_downsampled",)
    columns: tuple[str, ...] = _NAMES
    licence: str = "unknown"
    attribution: str = "unknown"

    @pydantic.field_validator("columns")
    @classmethod
    def _columns_are_known(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(columns) - set(_NAMES))
        if unknown:
            raise ValueError(f"unknown column {unknown[0]!r}; known: {', '.join(_NAMES)}")
        return columns

    def read(self, context: ReadContext) -> SourceTables:
        """Reads all metadata files and finds the images.

        An image without patient id counts as its own patient; images of one lesion as one patient.
        Where images of one patient disagree on a patient column, the first image by id counts and
        the difference is reported.

        Raises:
            DataError: A file or folder is missing, a file has an unknown layout or names an image
                twice, or a value is neither of its kind nor missing.
        """
        read = self._read_metadata(context)
        rows, id_note = _with_patients(read.rows)
        dictionary, typed, rejected = _typed(rows, self.columns, read)
        images, unmatched = self._find_images(typed, context)
        patients, conflicts = first_known(
            typed.assign(_fileless=~typed["image_id"].isin(images["image_id"])),
            "patient_id",
            ["_fileless", "image_id"],
            dictionary.names,
            _STAGE,
            "first image by id, those with a file before the others",
        )
        exclusions = pd.concat([read.conflicts, rejected, unmatched, conflicts], ignore_index=True)
        notes = (f"Metadata: {'; '.join(read.layouts)}.", *id_note)
        return SourceTables(images, patients, dictionary, exclusions, notes)

    def _read_metadata(self, context: ReadContext) -> _Metadata:
        parts, layouts = [], []
        headers: dict[str, set[str]] = {}
        tokens: dict[str, set[str]] = {}
        for order, file in enumerate(self.metadata):
            path = context.data_root / file
            raw = read_table(path)
            layout = recognise(raw, path)
            columns = {str(c): known_text(raw[c], _MISSING) for c in raw.columns}
            known = pd.DataFrame({name: column.values for name, column in columns.items()})
            nameless = int(known[layout.image_id].isna().sum())
            if nameless:
                raise DataError(f"{path}: {nameless} rows have no {layout.image_id}")
            part, names = translate(known, layout, path)
            for name, column in columns.items():
                headers.setdefault(names.get(name, name), set()).add(name)
                tokens.setdefault(names.get(name, name), set()).update(column.tokens)
            require_unique(part["image_id"], f"image id in {path}")
            layouts.append(f"{path.name} ({layout.name}, {len(part)} images)")
            parts.append(part.assign(_file=order, source=path.name))
        rows = pd.concat(parts, ignore_index=True)
        disagreeing = [c for c in rows.columns if c not in ("image_id", "_file", "source")]
        merged, conflicts = first_known(
            rows, "image_id", ["_file"], disagreeing, _STAGE, "file listed first"
        )
        sources = rows.groupby("image_id")["source"].agg(
            lambda names: "+".join(dict.fromkeys(names))
        )
        merged["source"] = merged["image_id"].map(sources)
        return _Metadata(merged, layouts, headers, tokens, conflicts)

    def _find_images(
        self, typed: pd.DataFrame, context: ReadContext
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        folders = [context.data_root / folder for folder in self.images]
        files = ImageFolder.scan(folders).by_id(self.suffixes)
        excluded: list[tuple[str, str, str, str]] = []
        where = name_some([str(folder) for folder in self.images], 3)
        found = typed["image_id"].isin(list(files))
        for image in typed.loc[~found, "image_id"]:
            excluded.append(("image", image, _STAGE, f"no file of this id under {where}"))
        named = set(typed["image_id"])
        for image, paths in files.items():
            if image not in named:
                is_mask = pd.Series([image]).str.contains(_MASKS).item()
                reason = "a mask, not a photograph" if is_mask else "no metadata row names it"
                excluded.append(("image", image, _STAGE, reason))
            elif len(paths) > 1:
                reason = (
                    f"{len(paths)} files have this id; {paths[0].name} in {paths[0].parent} used"
                )
                excluded.append(("value", image, _STAGE, reason))
        if not found.any():
            raise DataError(
                f"none of the {len(typed)} images of "
                f"{name_some([str(m) for m in self.metadata], 2)} has a file under {where}"
            )
        images = typed[found].reset_index(drop=True)
        images["path"] = [str(files[image][0]) for image in images["image_id"]]
        for column, default in (("licence", self.licence), ("attribution", self.attribution)):
            known = images[column] if column in images.columns else pd.Series(pd.NA, images.index)
            images[column] = known.astype("str").fillna(default)
        rest = [c for c in images.columns if c not in (*SOURCE_IMAGE_COLUMNS, *_NAMES)]
        return images[[*SOURCE_IMAGE_COLUMNS, *sorted(rest)]], exclusions_table(excluded)


def _with_patients(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Fills patient ids: those of the file, else those of the lesion, else lesion, else image."""
    lesion = _column(rows, "lesion_id")
    patient = _column(rows, "patient_id")
    of_lesion = patient.groupby(lesion).min()
    by_lesion = patient.isna() & lesion.notna()
    by_image = patient.isna() & lesion.isna()
    patient = (
        patient.fillna(lesion.map(of_lesion).astype("str")).fillna(lesion).fillna(rows["image_id"])
    )
    notes = []
    if by_lesion.any():
        notes.append(
            f"{int(by_lesion.sum())} of {len(rows)} images have a lesion id but no patient id: "
            f"images of one lesion count as one patient."
        )
    if by_image.any():
        notes.append(
            f"{int(by_image.sum())} of {len(rows)} images have neither patient nor lesion id: "
            f"each counts as one patient."
        )
    filled = rows.assign(patient_id=patient.astype("str"), lesion_id=lesion.fillna(""))
    return filled, tuple(notes)


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    if name in rows.columns:
        return rows[name].astype("str")
    return pd.Series(pd.NA, index=rows.index, dtype="str")


def _typed(
    rows: pd.DataFrame, wanted: tuple[str, ...], read: _Metadata
) -> tuple[DataDictionary, pd.DataFrame, pd.DataFrame]:
    """Types the patient columns that the files have."""
    typed = rows.copy()
    entries = []
    rejected = [pd.DataFrame(columns=list(EXCLUSION_COLUMNS), dtype="str")]
    for column in ARCHIVE_COLUMNS:
        if column.name not in wanted or column.name not in rows.columns:
            continue
        where = f"ISIC metadata, column {column.name!r}"
        levels = column.levels
        if column.kind == "numeric":
            parsed = parse_numbers(rows[column.name], where)
            typed[column.name] = parsed.values
            report = rejected_values(parsed.rejected, rows["image_id"], column.name, _STAGE)
            rejected.append(report)
        elif column.kind == "binary":
            typed[column.name] = parse_binary(rows[column.name], {}, where)
        else:
            typed[column.name] = parse_levels(rows[column.name], levels, {}, where)
            levels = levels or tuple(sorted(typed[column.name].dropna().unique()))
        entries.append(
            Column(
                column.name,
                column.kind,
                column.group,
                column.label,
                column.unit,
                levels,
                source_column=" | ".join(sorted(read.headers[column.name])),
                missing_tokens=tuple(sorted(read.tokens[column.name])),
            )
        )
    return DataDictionary(entries), typed, pd.concat(rejected, ignore_index=True)
