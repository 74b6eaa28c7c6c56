"""One clinical table of text to one row a patient in the canonical vocabulary.

Shared by the sources of TCGA downloads: they differ in where the header is and in what columns are
called, and in nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources.base import NO_IMAGES, SourceTables
from featurestore.sources.canonical import CanonicalColumns, read_canonical
from featurestore.sources.joining import join_patients
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.specimens import Preferred, one_specimen
from featurestore.tables import (
    DataDictionary,
    exclusions_table,
    joined_gaps,
    known_text,
    spelled_ids,
)
from featurestore.tables.barcodes import SPECIMEN_TYPES, parse_barcode, read_barcodes
from featurestore.tables.merging import first_known
from featurestore.tables.vocabulary import VOCABULARY
from featurestore.units import counted

Headers = Mapping[str, Sequence[str]]
_STAGE = "read"
_TYPE_CODES = {"primary": 1, "metastatic": 6}


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a format keeps its ids, and what it calls the canonical columns.

    Attributes:
        kind: Kind of the source, for messages.
        ids: Headers of the id column that rows stand for, the finest first (specimen, then
            patient).
        headers: For each canonical name its possible headers, preferred first.
        used: Further headers that need not be listed as not understood (other ids).
        missing: Further texts that mean missing.
    """

    kind: str
    ids: tuple[str, ...]
    headers: Headers
    used: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def read_clinical(
    table: pd.DataFrame,
    layout: Layout,
    path: Path,
    prefer: Preferred,
) -> SourceTables:
    """Reads a clinical table into patients.

    Rows of specimens become rows of patients (`specimens.one_specimen`). A patient that still has
    several rows gets the first known value of each column, and differences are reported.

    Args:
        table: Table of text.
        layout: How it is laid out.
        path: The file, for messages.
        prefer: Specimen to take where a patient has both.

    Raises:
        DataError: The file is of another format, or an id is missing or no id.
    """
    spelled = {str(name).casefold(): str(name) for name in table.columns}
    found = [spelled[i.casefold()] for i in layout.ids if i.casefold() in spelled]
    if not found:
        raise DataError(explain_mismatch(path, layout.kind))
    if table.empty:
        raise DataError(f"{path}: a header and no rows; was the download cut short?")
    rows, by_barcode = _identified(table, found, path)
    if by_barcode and rows["sample_type"].notna().all():
        rows, left_out = one_specimen(rows, prefer, path)
    else:
        rows, left_out = _one_specimen_by_column(rows, table, layout, prefer, path)
    table = table.loc[rows.index]
    ids = rows["sample_id"].where(rows["sample_id"].notna(), rows["patient_id"])
    read = read_canonical(
        table,
        layout.headers,
        ids,
        path,
        _STAGE,
        layout.missing,
        used=(*layout.ids, *layout.used),
    )
    if by_barcode and rows["sample_type"].notna().all():
        read = _with_types_of_barcodes(read, rows, path)
    unmapped = tuple(f"{path.name}: {name}" for name in read.unmapped)
    names = read.dictionary.names
    years = [column.name for column in read.dictionary if column.unit == "years"]
    people = pd.concat([rows[["patient_id", "sample_id", "site"]], read.values], axis=1)
    # By content, because the order of rows in a file means nothing.
    people["_order"] = table[sorted(table.columns)].map(str).agg("\t".join, axis=1)
    merged, conflicts = first_known(
        people,
        "patient_id",
        ["_order"],
        ["sample_id", "site", *names],
        _STAGE,
        f"first row of {path.name} as text",
        years,
    )
    order = {patient: place for place, patient in enumerate(people["patient_id"].unique())}
    merged = merged.sort_values("patient_id", key=lambda ids: ids.map(order), ignore_index=True)
    for column in read.dictionary:  # first_known leaves columns without a known value untyped
        if column.kind in ("numeric", "binary", "expression"):
            merged[column.name] = merged[column.name].astype(float)
    excluded = pd.concat([left_out, read.exclusions, conflicts], ignore_index=True)
    return SourceTables(
        images=NO_IMAGES,
        patients=merged,
        dictionary=read.dictionary,
        exclusions=excluded.drop_duplicates(ignore_index=True),  # rows repeat what a case has
        unmapped=unmapped,
        gaps=read.gaps.replace({"patient_id": dict(zip(ids, rows["patient_id"], strict=True))}),
    )


def joined(tables: Sequence[SourceTables]) -> SourceTables:
    """Joins several tables of one download by patient; the one listed first counts.

    Raises:
        DataError: Two tables share no patient.
    """
    if len(tables) == 1:
        return tables[0]
    patients, dictionary, conflicts = join_patients(tables, "patient")
    listed = [p for table in tables for p in table.patients["patient_id"]]
    order = {patient: place for place, patient in enumerate(dict.fromkeys(listed))}
    patients = patients.sort_values("patient_id", key=lambda ids: ids.map(order))
    return SourceTables(
        images=tables[0].images,
        patients=patients.reset_index(drop=True),
        dictionary=dictionary,
        exclusions=pd.concat([*(t.exclusions for t in tables), conflicts], ignore_index=True),
        unmapped=tuple(name for table in tables for name in table.unmapped),
        gaps=joined_gaps(table.gaps for table in tables),
    )


def kept(tables: SourceTables, columns: Sequence[str] | None) -> SourceTables:
    """Keeps the canonical columns that a configuration asks for; all of them for None.

    Raises:
        DataError: A column that is asked for is in none of the files.
    """
    if columns is None:
        return tables
    absent = [name for name in columns if name not in tables.dictionary]
    if absent:
        raise DataError(
            f"no column for {name_some(absent)} in the clinical tables; they have "
            f"{', '.join(tables.dictionary.names)}"
        )
    dictionary = DataDictionary(c for c in tables.dictionary if c.name in columns)
    dropped = [c.name for c in tables.dictionary if c.name not in columns]
    patients = tables.patients.drop(columns=dropped)
    return dataclasses.replace(tables, patients=patients, dictionary=dictionary)


def _identified(table: pd.DataFrame, found: list[str], path: Path) -> tuple[pd.DataFrame, bool]:
    """Patient, specimen and site of each row; whether ids are TCGA barcodes."""
    texts = [spelled_ids(known_text(table[name]).values) for name in found]
    finest = texts[0]
    empty = finest.isna()
    if empty.any():
        lines = ", ".join(str(int(k) + 1) for k in finest.index[empty][:3])
        raise DataError(
            f"{path}: column {found[0]!r} has no id in {counted(int(empty.sum()), 'row')} (row "
            f"{lines})"
        )
    if any(parse_barcode(str(text)) for text in finest):
        codes = read_barcodes(finest, f"{path}: column {found[0]!r}")
        return codes[["patient_id", "sample_id", "sample_type", "site"]], True
    patient = texts[-1] if len(texts) > 1 else finest
    sample = finest if len(texts) > 1 else pd.Series(pd.NA, finest.index, dtype="str")
    rows = pd.DataFrame({"patient_id": patient.astype("str"), "sample_id": sample})
    rows["sample_type"] = pd.Series(pd.NA, rows.index, dtype="Int64")
    rows["site"] = pd.Series(pd.NA, rows.index, dtype="str")
    return rows, False


def _one_specimen_by_column(
    rows: pd.DataFrame, table: pd.DataFrame, layout: Layout, prefer: Preferred, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """For ids that are no barcodes of specimens: by the column of the specimen's type."""
    specimens = rows["sample_id"].notna()
    if not specimens.all():
        return rows, exclusions_table()
    only = {k: v for k, v in layout.headers.items() if k == "specimen_type"}
    stated = read_canonical(table, only, rows["sample_id"], path, _STAGE, layout.missing).values
    if "specimen_type" not in stated:
        return rows, exclusions_table()
    codes = stated["specimen_type"].map(_TYPE_CODES).astype("Int64").fillna(_TYPE_CODES[prefer])
    return one_specimen(rows.assign(sample_type=codes), prefer, path)


def _with_types_of_barcodes(
    read: CanonicalColumns, rows: pd.DataFrame, path: Path
) -> CanonicalColumns:
    """Takes the type of each specimen from its barcode; a column that differs is reported."""
    kinds = rows["sample_type"].map(lambda code: SPECIMEN_TYPES.get(int(code), ""))
    stated = kinds.where(kinds.isin(_TYPE_CODES)).astype("str")
    if "specimen_type" not in read.dictionary:
        entry = dataclasses.replace(
            VOCABULARY["specimen_type"].column,
            levels=tuple(sorted(stated.dropna().unique())),
            source_column="barcode",
        )
        return dataclasses.replace(
            read,
            values=read.values.assign(specimen_type=stated),
            dictionary=read.dictionary.merged(DataDictionary([entry])),
        )
    given = read.values["specimen_type"]
    differing = given.notna() & stated.notna() & (given != stated)
    reports = [
        (
            "value",
            str(rows.loc[k, "sample_id"]),
            _STAGE,
            f"specimen_type: {stated[k]} by its barcode kept, {path.name} says {given[k]}",
        )
        for k in given.index[differing]
    ]
    return dataclasses.replace(
        read,
        values=read.values.assign(specimen_type=stated.where(stated.notna(), given)),
        exclusions=pd.concat([read.exclusions, exclusions_table(reports)], ignore_index=True),
    )
