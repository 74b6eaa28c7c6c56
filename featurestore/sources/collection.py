"""Public collections of lesion images, read from their folder as it was downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
import pydantic

from featurestore.config import Section
from featurestore.errors import DataError, name_some
from featurestore.outcomes.lesion_classes import LESION_CLASS
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, SourceTables
from featurestore.sources.collection_columns import typed_columns
from featurestore.sources.collections import COLLECTIONS, Collection
from featurestore.sources.collections.base import UNKNOWN, matches
from featurestore.sources.lesion_class import lesion_classes
from featurestore.sources.lesions import lesion_ids, levelled, one_row_each
from featurestore.sources.named_images import find_files
from featurestore.tables import (
    exclusions_table,
    known_text,
    read_table,
    require_unique,
    spelled_ids,
)
from featurestore.units import NOUNS, Observed, count_observations, counted

_STAGE = "read"
_LABELS = ("diagnosis", "melanoma", "malignant", LESION_CLASS)


class CollectionSource(Section):
    """Tables and images of a public collection.

    Attributes:
        kind: Always `collection`.
        name: Name of the collection.
        tables: Its tables, in any order: each is recognised by its columns. Several of one kind
            (training and test part) are read as one.
        images: Folders and archives that are searched, with their subfolders and the archives in
            them, for the images.
    """

    kind: Literal["collection"] = "collection"
    name: str
    tables: tuple[Path, ...] = pydantic.Field(min_length=1)
    images: tuple[Path, ...] = pydantic.Field(min_length=1)

    @pydantic.field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in COLLECTIONS:
            raise ValueError(f"unknown collection {name!r}; known: {', '.join(COLLECTIONS)}")
        return name

    def read(self, context: ReadContext) -> SourceTables:
        """Reads the tables and finds the images.

        Without patient ids images of one lesion count as one patient. Where images of one patient
        (or lesion, where lesions are asked for) disagree on a column, the first image by id counts
        and the difference is reported.

        Raises:
            DataError: A file or folder is missing, a table belongs to another collection or a
                needed one is missing, an image stands twice, or no image has a file.
        """
        collection = COLLECTIONS[self.name]
        tables, twice = _read_tables(collection, [context.data_root / path for path in self.tables])
        rows, unlabelled = _with_labels(collection, collection.rows(tables))
        rows, unit_notes = _with_units(collection, rows, context.unit)
        require_unique(rows["image_id"], f"image id in the tables of {collection.title}")
        typed = typed_columns(collection, rows, _STAGE)
        found = find_files(typed.rows, [context.data_root / path for path in self.images], _STAGE)
        images = typed.rows[found.paths.notna()].assign(path=found.paths.dropna())
        if images.empty:
            raise DataError(
                f"none of the {len(rows):,} images of {collection.title} has a file under "
                f"{name_some([str(path) for path in self.images], 3)}{found.hint}"
            )
        dictionary = levelled(typed.dictionary, context.unit)
        whole = typed.rows.assign(_fileless=found.paths.isna())
        patients, conflicts = one_row_each(whole, list(dictionary), context.unit, _STAGE)
        held, withheld_notes = _withheld(collection, tables)
        parts = [held, unlabelled, typed.exclusions, found.exclusions, conflicts]
        return SourceTables(
            _images_table(collection, images),
            patients,
            dictionary,
            pd.concat(parts, ignore_index=True),
            (
                _counted(collection, images, context.unit),
                *unit_notes,
                *twice,
                *withheld_notes,
                *collection.notes,
            ),
            unmapped=(*typed.unmapped, *_not_understood(collection, tables)),
            gaps=typed.gaps,
        )


def _read_tables(
    collection: Collection, paths: list[Path]
) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """The tables by role, with headers in lower case and NaN for missing.

    A row that stands twice word for word counts once, as of a table that lies there packed, too;
    the notes say how many.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        raw = read_table(path)
        raw = raw.rename(columns={name: str(name).strip().casefold() for name in raw.columns})
        role = collection.role_of(raw.columns)
        if not role:
            known = "; ".join(
                f"{t.role} ({', '.join(sorted(t.columns))})" for t in collection.tables
            )
            raise DataError(
                f"{path} is no table of {collection.title}; it has "
                f"{name_some(list(raw.columns), 8)}; known: {known}"
            )
        known_cells = {name: known_text(raw[name]).values for name in raw.columns}
        parts.setdefault(role, []).append(pd.DataFrame(known_cells))
    for table in collection.tables:
        if table.needed and table.role not in parts:
            raise DataError(
                f"{collection.title} cannot be read without its {table.role} table (columns "
                f"{', '.join(sorted(table.columns))}); list it under `tables`"
            )
    whole = {role: pd.concat(tables, ignore_index=True) for role, tables in parts.items()}
    once = {role: table.drop_duplicates(ignore_index=True) for role, table in whole.items()}
    more = {role: len(whole[role]) - len(table) for role, table in once.items()}
    return once, tuple(
        f"{collection.title} {role}: {counted(n, 'row')} repeated word for word, counted once."
        for role, n in more.items()
        if n
    )


def _with_labels(collection: Collection, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adds `melanoma`, `malignant` and the class, and reports diagnoses that are not known."""
    if "diagnosis" not in rows.columns:
        rows = rows.assign(diagnosis=pd.Series(pd.NA, index=rows.index, dtype="str"))
    diagnosis = rows["diagnosis"].str.casefold()
    strange = diagnosis.notna() & ~diagnosis.isin(list(collection.labels))
    reports = [
        ("value", str(image), _STAGE, f"diagnosis: {text!r} is none of {collection.title}; unknown")
        for image, text in zip(rows.loc[strange, "image_id"], diagnosis[strange], strict=True)
    ]
    known = diagnosis.map(lambda text: collection.labels.get(text, (UNKNOWN, UNKNOWN)))
    named = rows["told"] if "told" in rows.columns else diagnosis
    classes = lesion_classes(named.mask(strange))
    return (
        rows.assign(
            **{LESION_CLASS: classes},
            diagnosis=diagnosis.astype("str"),
            melanoma=known.map(lambda pair: float(pair[0])),
            malignant=known.map(lambda pair: float(pair[1])),
        ),
        exclusions_table(reports),
    )


def _with_units(
    collection: Collection, rows: pd.DataFrame, unit: Observed
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Fills ids: a patient is the one that is named, else the lesion, else the image.

    Where lesions are asked for, these are the observations.
    """
    image = spelled_ids(rows["image_id"])
    nameless = int(image.isna().sum())
    if nameless:
        raise DataError(f"{nameless:,} rows of {collection.title} name no image")
    absent = pd.Series(pd.NA, index=rows.index, dtype="str")
    patient = spelled_ids(rows["patient_id"]) if "patient_id" in rows.columns else absent
    lesion = spelled_ids(rows["lesion_id"]) if "lesion_id" in rows.columns else absent
    if unit == "lesion":
        ids = lesion_ids(image.astype("str"), patient, lesion, "images", collection.title)
        columns = {"patient_id": ids.keys, "person_id": ids.persons, "lesion_id": lesion.fillna("")}
        return rows.assign(image_id=image.astype("str"), **columns), ids.notes
    notes = []
    by_lesion, by_image = patient.isna() & lesion.notna(), patient.isna() & lesion.isna()
    if by_lesion.any():
        notes.append(
            f"{int(by_lesion.sum()):,} of {len(rows):,} images have a lesion id but no patient id: "
            f"images of one lesion count as one patient."
        )
    if by_image.any():
        notes.append(
            f"{int(by_image.sum()):,} of {len(rows):,} images have neither patient nor lesion id: "
            f"each counts as one patient."
        )
    several = lesion.fillna(image).groupby(patient).nunique()
    if (several > 1).any():
        notes.append(
            f"{int((several > 1).sum()):,} of {len(several):,} patients have several lesions: a "
            f"patient has the outcome if any lesion has it, and columns of a lesion are those of "
            f"the patient's first image by id."
        )
    filled = patient.fillna(lesion).fillna(image).astype("str")
    rows = rows.assign(image_id=image.astype("str"), patient_id=filled, lesion_id=lesion.fillna(""))
    return rows, tuple(notes)


def _withheld(
    collection: Collection, tables: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Which columns of the files tell the diagnosis, as exclusions and in a sentence."""
    found = sorted(
        {name for t in tables.values() for name in t.columns if matches(name, collection.withheld)}
    )
    reports = [("column", name, _STAGE, "tells the diagnosis; no model sees it") for name in found]
    note = f"Withheld from models, because they tell the diagnosis: {', '.join(found)}."
    return exclusions_table(reports), (note,) if found else ()


def _not_understood(collection: Collection, tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """Columns that the collection does not know; they are offered to nobody."""
    patterns = (*collection.withheld, *collection.ignored)
    return tuple(
        f"{collection.title} {role}: {name}"
        for role, table in tables.items()
        for name in table.columns
        if not matches(name, patterns) and not collection.found_columns([name])
    )


def _images_table(collection: Collection, images: pd.DataFrame) -> pd.DataFrame:
    absent = pd.Series(pd.NA, index=images.index, dtype="str")
    licence = images.get("licence", images.get("copyright_license", absent))
    table = images.assign(
        source=collection.name,
        licence=licence.astype("str").fillna(collection.licence),
        attribution=images.get("attribution", absent).astype("str").fillna(collection.attribution),
    )
    wanted = [*SOURCE_IMAGE_COLUMNS, *_LABELS, "image_role"]
    return table[wanted].reset_index(drop=True)


def _counted(collection: Collection, images: pd.DataFrame, unit: Observed) -> str:
    who = NOUNS["patient"].counted(images["patient_id"].nunique())
    lesions = images["lesion_id"].replace("", pd.NA).nunique()
    if unit == "lesion":
        who = count_observations(images.drop_duplicates("patient_id"), unit).text
    elif lesions:
        who += f", {counted(lesions, 'lesion')} with an id"
    roles = images["image_role"].value_counts().sort_index()
    kinds = ", ".join(f"{n:,} {role}" for role, n in roles.items())
    return f"{collection.title}: {who}, {counted(len(images), 'image')} with a file ({kinds})."
