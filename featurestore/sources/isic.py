"""ISIC: archive exports, `isic-cli` downloads, challenge files and HAM10000."""

from __future__ import annotations

import dataclasses
import fnmatch
from pathlib import Path
from typing import Literal

import pandas as pd
import pydantic

from featurestore.config import Section
from featurestore.errors import DataError, name_some
from featurestore.images import ENDINGS, ImageFolder, image_key, place_and_name, shown_masks
from featurestore.outcomes.isic import DIAGNOSES
from featurestore.outcomes.lesion_classes import LESION_CLASS
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, SourceTables
from featurestore.sources.isic_layouts import (
    CLASSES,
    FoundLayout,
    headerless,
    recognise,
    role_of_type,
    translate,
)
from featurestore.sources.lesion_class import isic_lesion_classes
from featurestore.sources.lesions import lesion_ids, levelled, one_row_each
from featurestore.sources.named_images import what_else
from featurestore.tables import (
    BINARY_TEXTS,
    Column,
    DataDictionary,
    Parsed,
    exclusions_table,
    known_text,
    parse_binary,
    parse_levels,
    parse_numbers,
    read_head,
    read_table,
    rejected_values,
    require_unique,
    spelled_ids,
)
from featurestore.tables.merging import first_known
from featurestore.units import Observed, counted

_STAGE = "read"
_IS_MASK = "a mask, not a photograph"

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
    whole: frozenset[str]  # ids that keep their ending, because a file has both


class IsicSource(Section):
    """ISIC metadata files and image folders.

    Attributes:
        kind: Always `isic`.
        metadata: Metadata files; several are merged by image id. Where two files disagree, the
            one listed first counts and the difference is reported.
        images: Folders and archives that are searched, with their subfolders and the archives in
            them, for `<image id>.jpg` and the like.
        suffixes: Endings that follow the image id in the name of a file, in a metadata file, or in
            both; they are left out on both sides.
        columns: Patient columns to use, of those the files have; all by default.
        licence: Licence of images whose metadata names none (challenge files).
        attribution: Attribution of images whose metadata names none.
    """

    kind: Literal["isic"] = "isic"
    metadata: tuple[Path, ...] = pydantic.Field(min_length=1)
    images: tuple[Path, ...] = pydantic.Field(min_length=1)
    suffixes: tuple[str, ...] = ENDINGS
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
        Where images of one patient (or lesion, where lesions are asked for) disagree on a column,
        the first image by id counts and the difference is reported.

        Raises:
            DataError: A file or folder is missing, a file has an unknown layout or names an image
                twice, or a value is neither of its kind nor missing.
        """
        read = self._read_metadata(context)
        title = name_some([str(m) for m in self.metadata], 2)
        rows, id_note = _with_units(read.rows, context.unit, title)
        typed = _typed(rows, self.columns, read)
        images, unmatched = self._find_images(typed.rows, read.whole, context)
        dictionary = levelled(typed.dictionary, context.unit)
        whole = typed.rows.assign(_fileless=~typed.rows["image_id"].isin(images["image_id"]))
        patients, conflicts = one_row_each(whole, list(dictionary), context.unit, _STAGE)
        parts = [read.conflicts, typed.exclusions, unmatched, conflicts]
        exclusions = pd.concat(parts, ignore_index=True)
        notes = (f"Metadata: {'; '.join(read.layouts)}.", *id_note, *_withheld(read.headers))
        return SourceTables(
            images, patients, dictionary, exclusions, notes, unmapped=typed.unmapped
        )

    def _read_metadata(self, context: ReadContext) -> _Metadata:
        parts, layouts = [], []
        headers: dict[str, set[str]] = {}
        tokens: dict[str, set[str]] = {}
        for order, file in enumerate(self.metadata):
            path = context.data_root / file
            raw, found = _read_file(path)
            columns = {
                str(c): known_text(raw[c], named=_named(context, str(c)), guessed=True)
                for c in raw.columns
            }
            known = pd.DataFrame({name: column.values for name, column in columns.items()})
            once = known.drop_duplicates(ignore_index=True)
            repeated, known = len(known) - len(once), once
            nameless = int(known[found.image_id].isna().sum())
            if nameless:
                raise DataError(
                    f"{path}: {counted(nameless, 'row has', 'rows have')} no {found.image_id}"
                )
            part, names = translate(known, found, path)
            for name, column in columns.items():
                headers.setdefault(names[name], set()).add(name)
                tokens.setdefault(names[name], set()).update(column.tokens)
            more = f", {counted(repeated, 'row')} repeated word for word" if repeated else ""
            images = counted(len(part), "image")
            layouts.append(f"{path.name} ({found.layout.name}, {images}{more})")
            parts.append(part.assign(_file=order, source=path.name))
        whole = _with_ending(parts, self.suffixes)
        for part, file in zip(parts, self.metadata, strict=True):
            ids = part["image_id"].map(lambda name: image_key(name, self.suffixes, whole))
            part["image_id"] = ids.astype("str")
            require_unique(part["image_id"], f"image id in {context.data_root / file}")
        rows = pd.concat(parts, ignore_index=True)
        disagreeing = [c for c in rows.columns if c not in ("image_id", "_file", "source")]
        merged, conflicts = first_known(
            rows, "image_id", ["_file"], disagreeing, _STAGE, "file listed first"
        )
        if "image_type" in merged.columns:
            merged["image_role"] = merged["image_type"].map(role_of_type, na_action="ignore")
        if "melanoma" in merged.columns:
            merged[LESION_CLASS] = isic_lesion_classes(merged)
        sources = rows.groupby("image_id")["source"].agg(
            lambda names: "+".join(dict.fromkeys(names))
        )
        merged["source"] = merged["image_id"].map(sources)
        return _Metadata(merged, layouts, headers, tokens, conflicts, whole)

    def _find_images(
        self, typed: pd.DataFrame, whole: frozenset[str], context: ReadContext
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        folders = [context.data_root / folder for folder in self.images]
        folder = ImageFolder.scan(folders)
        files = folder.by_id(self.suffixes, whole)
        excluded = [("image", mask, _STAGE, _IS_MASK) for mask in shown_masks(folder, folders)]
        excluded += [("image", p.stem, _STAGE, "a link that leads nowhere") for p in folder.broken]
        excluded += [("image", name, _STAGE, reason) for name, reason in folder.refused]
        where = name_some([str(folder) for folder in self.images], 3)
        found = typed["image_id"].isin(list(files))
        for image in typed.loc[~found, "image_id"]:
            excluded.append(("image", image, _STAGE, f"no file of this id under {where}"))
        named = set(typed["image_id"])
        for image, paths in files.items():
            if image not in named:
                excluded.append(("image", image, _STAGE, "no metadata row names it"))
            elif len(paths) > 1:
                place, name = place_and_name(paths[0])
                reason = f"{len(paths)} files have this id; {name} in {place} used"
                excluded.append(("value", image, _STAGE, reason))
        if not found.any():
            raise DataError(
                f"none of the {len(typed)} images of "
                f"{name_some([str(m) for m in self.metadata], 2)} has a file under "
                f"{where}{what_else(folder)}"
            )
        images = typed[found].reset_index(drop=True)
        images["path"] = [str(files[image][0]) for image in images["image_id"]]
        for column, default in (("licence", self.licence), ("attribution", self.attribution)):
            known = images[column] if column in images.columns else pd.Series(pd.NA, images.index)
            images[column] = known.astype("str").fillna(default)
        used = (*SOURCE_IMAGE_COLUMNS, *_NAMES, "person_id")
        rest = [c for c in images.columns if c not in used]
        return images[[*SOURCE_IMAGE_COLUMNS, *sorted(rest)]], exclusions_table(excluded)


def _with_units(
    rows: pd.DataFrame, unit: Observed, title: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Fills patient ids: those of the file, else those of the lesion, else lesion, else image.

    Where lesions are asked for, these are the observations.
    """
    lesion = spelled_ids(_column(rows, "lesion_id"))
    patient = spelled_ids(_column(rows, "patient_id"))
    if unit == "lesion":
        ids = lesion_ids(rows["image_id"], patient, lesion, "images", title)
        columns = {"patient_id": ids.keys, "person_id": ids.persons, "lesion_id": lesion.fillna("")}
        return rows.assign(**columns), ids.notes
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


def _withheld(headers: dict[str, set[str]]) -> tuple[str, ...]:
    """A sentence on the columns that tell the diagnosis: they stay with the image."""
    found = sorted(
        header
        for name, spelled in headers.items()
        if name in CLASSES or any(fnmatch.fnmatchcase(name, p) for p in (*DIAGNOSES, "melanoma"))
        for header in spelled
    )
    told = ", ".join(found)
    return (f"Withheld from models, because they tell the diagnosis: {told}.",) * bool(found)


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    if name in rows.columns:
        return rows[name].astype("str")
    return pd.Series(pd.NA, index=rows.index, dtype="str")


@dataclasses.dataclass(frozen=True)
class _Typed:
    """Metadata with its patient columns typed."""

    rows: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame
    unmapped: tuple[str, ...]


def _typed(rows: pd.DataFrame, wanted: tuple[str, ...], read: _Metadata) -> _Typed:
    """Types the patient columns that the files have.

    A value that its column cannot hold is missing and reported; a column that cannot be read as
    what it is called is left out and reported.
    """
    typed = rows.copy()
    entries = []
    excluded = [exclusions_table()]
    unmapped = []
    for column in ARCHIVE_COLUMNS:
        if column.name not in wanted or column.name not in rows.columns:
            continue
        headers = " | ".join(sorted(read.headers[column.name]))
        try:
            parsed = _parsed(column, rows[column.name])
        except DataError as error:
            typed = typed.drop(columns=column.name)
            unmapped.append(f"ISIC metadata: {headers}")
            excluded.append(exclusions_table([("column", headers, _STAGE, str(error))]))
            continue
        typed[column.name] = parsed.values
        expected = "a number" if column.kind == "numeric" else f"a level of {column.label}"
        excluded.append(
            rejected_values(parsed.rejected, rows["image_id"], column.name, _STAGE, expected)
        )
        levels = column.levels
        if column.kind == "nominal":
            levels = levels or tuple(sorted(typed[column.name].dropna().unique()))
        entries.append(
            dataclasses.replace(
                column,
                levels=levels,
                source_column=headers,
                missing_tokens=tuple(sorted(read.tokens[column.name])),
            )
        )
    exclusions = pd.concat(excluded, ignore_index=True)
    return _Typed(typed, DataDictionary(entries), exclusions, tuple(unmapped))


def _parsed(column: Column, texts: pd.Series) -> Parsed:
    """Typed values of one column, and the texts that are none.

    Raises:
        DataError: None of the texts is a value.
    """
    where = f"ISIC metadata, column {column.name!r}"
    if column.kind == "numeric":
        return parse_numbers(texts, where)
    spellings = _spellings(column)
    allowed = list(BINARY_TEXTS) if column.kind == "binary" else list(spellings)
    strange = texts.notna() & ~texts.str.casefold().isin(allowed) & bool(allowed)
    rejected = texts[strange]
    if len(rejected) and len(rejected) == texts.notna().sum():
        raise DataError(
            f"{where}: none of its values is understood: {name_some(sorted(set(rejected)))}"
        )
    known = texts.mask(strange).astype("str")
    if column.kind == "binary":
        return Parsed(parse_binary(known, {}, where), rejected)
    return Parsed(parse_levels(known, column.levels, spellings, where), rejected)


def _spellings(column: Column) -> dict[str, str]:
    """Levels by their spelling without case, with the short forms of sex; empty takes any text."""
    short = {"f": "female", "m": "male"} if column.name == "sex" else {}
    return {level.casefold(): level for level in column.levels} | short


def _read_file(path: Path) -> tuple[pd.DataFrame, FoundLayout]:
    head = read_head(path)
    names = headerless(head.header, head.rows)
    raw = read_table(path, len(head.comments), header=names)
    return raw, recognise(raw, path)


def _named(context: ReadContext, column: str) -> frozenset[str]:
    found = context.named.get(column)
    return frozenset() if found is None else found.texts


def _with_ending(parts: list[pd.DataFrame], endings: tuple[str, ...]) -> frozenset[str]:
    """Ids that keep their ending: a file has rows of both, so they are two images."""
    whole: set[str] = set()
    for part in parts:
        stems = part["image_id"].map(image_key)
        keys = part["image_id"].map(lambda name: image_key(name, endings))
        several = stems.groupby(keys).transform("nunique") > 1
        whole.update(stems[several])
    return frozenset(whole)
