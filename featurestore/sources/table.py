"""Any CSV, TSV or Parquet table, described by a column mapping.

Two layouts: one row a patient (or one row an image, with `images`), and an expression matrix with
genes in rows and samples in columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
import pydantic

from featurestore.config import Section, Text
from featurestore.errors import DataError, name_some
from featurestore.outcomes import ENTRY, TIME, NamedTexts
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, SourceTables
from featurestore.sources.gene_matrix import GeneMatrix
from featurestore.sources.lesions import lesion_ids, levelled, one_row_each
from featurestore.sources.table_images import TableImages, find_images
from featurestore.sources.table_matrix import read_samples
from featurestore.tables import (
    Column,
    DataDictionary,
    Kind,
    Measured,
    exclusions_table,
    find_gaps,
    ids_by_content,
    joined_gaps,
    known_text,
    parse_binary,
    parse_levels,
    parse_numbers,
    read_table,
    rejected_values,
    require_header,
    require_unique,
    spelled_ids,
)
from featurestore.units import Observed, counted

_STAGE = "read"
_OWN_ID = "id made of the row"
_SITE = Column("site", "nominal", "site", level="patient")


class ColumnMapping(Section):
    """How one column of the file becomes a patient column.

    Attributes:
        source: Name in the file.
        kind: numeric, ordinal, nominal, binary or expression.
        group: Group of the ablation.
        label: Name for people; the name in the file by default.
        unit: Unit of a numeric column.
        levels: Levels, ascending where the kind is ordinal; others are an error.
        values: Level (or `1`/`0`) for a text of the file.
        missing: Further texts that mean missing.
        measured: When the value becomes known: diagnosis, specimen or follow_up. A column that is
            known later than the outcome's as-of time is withheld from models.
        level: Of what it is measured where observations are lesions: `patient`, or `lesion`; by
            default of the patient in the groups demographic and history, else of the lesion.
    """

    source: str
    kind: Kind = "numeric"
    group: str = "clinical"
    label: str = ""
    unit: str = ""
    levels: tuple[Text, ...] = ()
    values: dict[Text, Text] = pydantic.Field(default_factory=dict)
    missing: tuple[Text, ...] = ()
    measured: Measured = "unknown"
    level: Observed | None = None

    @pydantic.model_validator(mode="after")
    def _ordinal_has_levels(self) -> ColumnMapping:
        if self.kind == "ordinal" and len(self.levels) < 2:
            raise ValueError("an ordinal column needs its levels in ascending order")
        return self


class TableSource(Section):
    """A table with a column mapping.

    Attributes:
        kind: Always `table`.
        path: CSV, TSV or Parquet file, relative to the data root.
        layout: `rows`, or `genes_by_samples` for an expression matrix.
        id: Column of patient ids (`rows`); ids are text.
        lesion_id: Column of lesion ids, in a table with one row a lesion and no images (`rows`).
        id_by_content: The table names no patients: each row is one, and its id is made of what
            stands in it, so that the order of rows means nothing (`rows`, in place of `id`).
        patient_id_length: Keep this many leading characters of an id (12 for TCGA barcodes).
        prefer: Of several rows of one patient the one with this value in this column counts, for
            example `{Sample: primary}`; by default several rows are an error (`rows` without
            images).
        comment_lines: Lines before the header to skip.
        site: Column of the recruiting site.
        columns: Patient columns by their new name (`rows`).
        labels: Label columns for an outcome by their new name; they are never predictors (`rows`).
        images: Which image a row belongs to (`rows`).
        feature_column: Column of gene names (`genes_by_samples`); the first one by default.
        drop: Columns that hold no sample (`genes_by_samples`).
        prefix: Put before every gene name (`genes_by_samples`).
        transform: `log2p1` stores log2(x + 1) of counts (`genes_by_samples`).
        unit: Unit of the values in the file (`genes_by_samples`).
    """

    kind: Literal["table"] = "table"
    path: Path
    layout: Literal["rows", "genes_by_samples"] = "rows"
    id: str | None = None
    lesion_id: str | None = None
    id_by_content: bool = False
    patient_id_length: int | None = pydantic.Field(default=None, ge=1)
    prefer: dict[str, Text] = pydantic.Field(default_factory=dict, max_length=1)
    comment_lines: int = pydantic.Field(default=0, ge=0, le=1000)
    site: str | None = None
    columns: dict[str, ColumnMapping] = pydantic.Field(default_factory=dict)
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    images: TableImages | None = None
    feature_column: str | None = None
    drop: tuple[str, ...] = ()
    prefix: str = ""
    transform: Literal["none", "log2p1"] = "none"
    unit: str = ""

    @pydantic.model_validator(mode="after")
    def _keys_fit_the_layout(self) -> TableSource:
        if self.layout == "rows" and (self.id is None) != self.id_by_content:
            raise ValueError(
                "layout rows needs `id`, the column of patient ids, or else `id_by_content: true`"
            )
        if self.id_by_content and (self.images is not None or self.prefer):
            raise ValueError("a table of images, or with several rows a patient, needs an `id`")
        if self.lesion_id is not None and (self.id is None or self.images is not None):
            raise ValueError(
                "lesion_id stands beside the `id` of patients in a table without images; with "
                "images write images.lesion_id"
            )
        both = sorted(self.columns.keys() & self.labels.keys())
        if both:
            raise ValueError(f"{both[0]!r} stands under columns and under labels")
        names_of_ours = {"patient_id", "person_id", "outcome", TIME, ENTRY, "site"}
        reserved = sorted(names_of_ours & {*self.columns, *self.labels})
        if reserved:
            raise ValueError(f"{reserved[0]!r} is a name of melafuse; choose another")
        return self

    def read(self, context: ReadContext) -> SourceTables:
        """Reads the table.

        Raises:
            DataError: The file is missing or no table, a column is missing, an id is empty or
                stands twice, or a value fits neither its kind nor the missing tokens.
        """
        path = context.data_root / self.path
        table = read_table(path, self.comment_lines)
        if self.layout == "genes_by_samples":
            genes_in = self.feature_column or str(table.columns[0])
            require_header(table, [genes_in, *self.drop], path)
            values = table.drop(columns=[genes_in, *self.drop])
            matrix = GeneMatrix(path, table[genes_in], values)
            unit = "log2(x+1)" if self.transform == "log2p1" else self.unit
            counts = self.transform == "log2p1"
            return read_samples(matrix, self.patient_id_length, self.prefix, unit, counts)
        return _read_rows(self, table, path, context)


def _read_rows(
    source: TableSource, table: pd.DataFrame, path: Path, context: ReadContext
) -> SourceTables:
    if source.id is None:
        table = table.assign(**{_OWN_ID: ids_by_content(table)})
    key = source.id or _OWN_ID
    pictures = source.images
    named = [key, source.site, source.lesion_id, *(c.source for c in source.columns.values())]
    named += [*source.labels.values(), *source.prefer]
    if pictures is not None:
        named += [pictures.image_id, pictures.path, pictures.lesion_id, pictures.role]
    require_header(table, [name for name in named if name is not None], path)
    rows = pd.DataFrame({"patient_id": _ids(table[key], path, source.patient_id_length)})
    rows, notes = _with_units(source, table, rows, path, context.unit)
    unit: Observed = "lesion" if "person_id" in rows else "patient"
    dictionary, exclusions, gaps = _read_columns(source, table, path, rows, context)
    dictionary = levelled(dictionary, unit)
    for name, column in source.labels.items():
        rows[name] = _label(table[column], context.named.get(name))
    if source.site is not None:
        rows["site"] = known_text(table[source.site]).values
    if pictures is None:
        rows, others = _preferred(source.prefer, rows, table, path)
        exclusions = pd.concat([exclusions, others], ignore_index=True)
        require_unique(rows["patient_id"], f"{unit} id in {path}")
        if unit == "lesion":
            rows, differing = _of_lesions(rows, dictionary)
            exclusions = pd.concat([exclusions, differing], ignore_index=True)
        images = pd.DataFrame(columns=list(SOURCE_IMAGE_COLUMNS), dtype="str")
        return SourceTables(images, rows, dictionary, exclusions, notes, gaps=gaps)
    rows["image_id"] = _ids(table[pictures.image_id], path, None)
    require_unique(rows["image_id"], f"image id in {path}")
    images, unmatched = find_images(pictures, table, rows, path, context)
    for name in source.labels:
        images[name] = rows.loc[images.index, name]
    rows["_fileless"] = ~rows.index.isin(images.index)
    described = [*dictionary, *([_SITE] if source.site is not None else [])]
    patients, conflicts = one_row_each(rows, described, unit, _STAGE)
    exclusions = pd.concat([exclusions, unmatched, conflicts], ignore_index=True)
    images = images.reset_index(drop=True)
    return SourceTables(images, patients, dictionary, exclusions, notes, gaps=gaps)


def _with_units(
    source: TableSource, table: pd.DataFrame, rows: pd.DataFrame, path: Path, unit: Observed
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows whose `patient_id` is what one observation is; those of lesions have a `person_id`.

    Where lesions are asked for and the table names none, its rows are of patients.
    """
    pictures, patient = source.images, rows["patient_id"]
    header = source.lesion_id if pictures is None else pictures.lesion_id
    if header is None:
        return rows, ()
    lesion = spelled_ids(known_text(table[header]).values)
    nameless = pictures is not None and source.id == pictures.image_id
    if unit == "lesion":
        if pictures is None:
            lesion = _ids(table[header], path, None)
        row_ids = patient if pictures is None else _ids(table[pictures.image_id], path, None)
        owner = pd.Series(pd.NA, rows.index, dtype="str") if nameless else patient
        what = "rows" if pictures is None else "images"
        ids = lesion_ids(row_ids, owner, lesion, what, path.name)
        return rows.assign(patient_id=ids.keys, person_id=ids.persons), ids.notes
    if nameless:
        rows = rows.assign(patient_id=lesion.fillna(patient).astype("str"))
        return rows, (f"{path.name} names no patients: images of one lesion count as one patient.",)
    return rows, ()


def _of_lesions(
    rows: pd.DataFrame, dictionary: DataDictionary
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a lesion with what is known of its patient, in the order of the file."""
    known, differing = one_row_each(
        rows.assign(image_id="", _fileless=False), list(dictionary), "lesion", _STAGE
    )
    known = known.set_index("patient_id").loc[rows["patient_id"]]
    return rows.assign(**{n: known[n].to_numpy() for n in dictionary.names}), differing


def _preferred(
    prefer: dict[str, str], rows: pd.DataFrame, table: pd.DataFrame, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of several rows of a patient the one with the preferred value, if exactly one has it."""
    taken = pd.Series(True, index=rows.index)
    reports = []
    for column, value in prefer.items():
        wanted = table[column].str.strip().str.casefold() == value.strip().casefold()
        ids = rows["patient_id"]
        several = ids.duplicated(keep=False)
        decided = ids.isin(set(ids[several & wanted]))
        taken = ~(decided & ~wanted)
        reports = [
            ("specimen", patient, _STAGE, f"{path.name}: the row with {column} {value} counts")
            for patient in ids[~taken]
        ]
    return rows[taken].reset_index(drop=True), exclusions_table(reports)


def _label(texts: pd.Series, named: NamedTexts | None) -> pd.Series:
    """Text of a label column; what the outcome names is a value, whatever it says."""
    if named is None:
        return known_text(texts).values
    return known_text(texts, named=named.texts, guessed=named.is_closed).values


def _read_columns(
    source: TableSource,
    table: pd.DataFrame,
    path: Path,
    rows: pd.DataFrame,
    context: ReadContext,
) -> tuple[DataDictionary, pd.DataFrame, pd.DataFrame]:
    """Adds the typed columns to `rows`; returns what they are, what was left out, and gaps."""
    entries, gaps = [], []
    excluded = [exclusions_table()]
    for name, mapping in source.columns.items():
        where = f"{path}: column {mapping.source!r}"
        levels = mapping.levels
        by_outcome = context.named.get(name)
        text = known_text(
            table[mapping.source],
            mapping.missing,
            named=(*levels, *mapping.values, *(by_outcome.texts if by_outcome else ())),
            guessed=mapping.kind != "nominal" or bool(levels),
        )
        rejected = rows.index[:0]
        if mapping.kind in ("numeric", "expression"):
            parsed = parse_numbers(text.values, where)
            rows[name] = parsed.values
            excluded.append(rejected_values(parsed.rejected, rows["patient_id"], name, _STAGE))
            rejected = parsed.rejected.index
        elif mapping.kind == "binary":
            rows[name] = parse_binary(text.values, mapping.values, where)
        else:
            rows[name] = parse_levels(text.values, levels, mapping.values, where)
            levels = levels or tuple(sorted(rows[name].dropna().unique()))
        raw = table[mapping.source]
        gaps.append(find_gaps(name, raw, text.values, rejected, rows["patient_id"]))
        entries.append(
            Column(
                name=name,
                kind=mapping.kind,
                group=mapping.group,
                label=mapping.label or mapping.source,
                unit=mapping.unit,
                levels=levels,
                source_column=mapping.source,
                missing_tokens=text.tokens,
                measured=mapping.measured,
                level=mapping.level or "" if context.unit == "lesion" else "",
            )
        )
    exclusions = pd.concat(excluded, ignore_index=True)
    return DataDictionary(entries), exclusions, joined_gaps(gaps)


def _ids(texts: pd.Series, path: Path, length: int | None) -> pd.Series:
    known = spelled_ids(known_text(texts).values)
    if known.isna().any():
        lines = [int(k) + 1 for k in known.index[known.isna()]]
        raise DataError(
            f"{path}: column {texts.name!r} has no id in {counted(len(lines), 'row')}: row "
            f"{name_some(lines)}"
        )
    return known if length is None else known.str.slice(0, length)
