"""An export as a whole: data files, and beside them all that explains, checks and cites them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from featurestore.atomic import write_text
from featurestore.errors import StoreError
from featurestore.export.base import ColumnNote, Exporter, ExportTable
from featurestore.export.citation import citation
from featurestore.export.codebook import codebook, codebook_page
from featurestore.export.csv import CsvExporter
from featurestore.export.datapackage import datapackage
from featurestore.export.labelling import labelled
from featurestore.export.names import export_name
from featurestore.export.scripts import Check, Clusters, Plan, Survival, import_scripts
from featurestore.export.splitting import split
from featurestore.export.variables import Change, LabelledTable, changes_table
from featurestore.export.write import write_files, write_table


@dataclasses.dataclass(frozen=True)
class Known:
    """A number that programs must find again, in the study's names.

    It is an area under the ROC curve or, of a table with a time to an event, Harrell's C.

    Attributes:
        table: Name of the table.
        outcome: Column with 0 and 1, or with the code of what ended the time.
        score: Column that ranks the rows.
        value: The number.
        what: Words for it.
    """

    table: str
    outcome: str
    score: str
    value: float
    what: str


@dataclasses.dataclass(frozen=True)
class About:
    """What stands beside the data.

    Attributes:
        title: Name of the study.
        description: What the data are.
        watermark: Sentences that mark the data; empty where there are none.
        notes: Sentences on where the data come from.
        images: Images with `source`, `licence`, `attribution`; one row an image.
        known: What programs must find again.
        version: Version of melafuse.
        survival: Columns that together are a time to an event, in the study's names.
        clusters: Rows that are not independent, in the study's names.
    """

    title: str
    description: str
    watermark: str
    notes: tuple[str, ...]
    images: pd.DataFrame
    known: tuple[Known, ...]
    version: str
    survival: tuple[Survival, ...] = ()
    clusters: tuple[Clusters, ...] = ()


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        paths: The files.
        changes: How files differ from the study's tables.
    """

    paths: tuple[Path, ...]
    changes: tuple[Change, ...]


def write_package(
    tables: Sequence[ExportTable],
    exporters: Sequence[Exporter],
    folder: Path,
    about: About,
    max_variables: int,
    deidentification: pd.DataFrame | None = None,
) -> Exported:
    """Writes tables in every format, with codebook, scripts, citation and a list of changes.

    Args:
        tables: The tables.
        exporters: Formats.
        folder: Where to.
        about: What stands beside the data.
        max_variables: Tables with more variables are split.
        deidentification: What was changed to protect patients; None where nothing was.

    Raises:
        ConfigError: The limit leaves no room beside the key of a table.
        DataError: A column has no codebook entry, or a coded column another value.
        StoreError: A file could not be written, or reads back differently.
    """
    parts: list[LabelledTable] = []
    changes: list[Change] = []
    for table in tables:
        made, found = labelled(table)
        changes += found
        parts += split(made, max_variables)
    written, formatted = write_files(parts, exporters, folder)
    changes += formatted
    suffixes = tuple(exporter.suffix for exporter in exporters)
    checks = tuple(check for known in about.known for check in _checks(known, parts))
    times = tuple(found for times in about.survival for found in _survival(times, parts))
    clusters = tuple(found for one in about.clusters for found in _clusters(one, parts))
    plan = Plan(about.title, about.watermark, tuple(parts), suffixes, checks, times, clusters)
    texts = import_scripts(plan) | {
        "codebook.html": codebook_page(parts, f"{about.title}: codebook", about.watermark),
        "CITATION.md": citation(
            about.title, about.images, about.notes, about.watermark, about.version
        ),
        "datapackage.json": datapackage(
            about.title, about.title, about.description, parts, folder, written
        ),
    }
    try:
        for name, text in texts.items():
            write_text(folder / name, text)
            written.append(folder / name)
    except OSError as error:
        raise StoreError(f"cannot write {folder / name}: {error.strerror or error}") from None
    listed = {"changes": changes_table(changes), "deidentification": deidentification}
    for name, frame in listed.items():
        if frame is not None:
            written.append(_write_csv(name, frame, folder))
    written.append(_write_csv("codebook", codebook(parts), folder))
    return Exported(tuple(written), tuple(changes))


def _checks(known: Known, parts: Sequence[LabelledTable]) -> list[Check]:
    """The number as a check on the part of its table that holds the score."""
    outcome, score = (_exported(name, parts) for name in (known.outcome, known.score))
    return [
        Check(part.name, outcome, score, known.value, known.what)
        for part in _parts_of(known.table, parts)
        if outcome in part and score in part
    ]


def _survival(times: Survival, parts: Sequence[LabelledTable]) -> list[Survival]:
    """The time to an event in every part of its table that holds it."""
    names = [_exported(name, parts) for name in (times.outcome, times.time, times.entry)]
    return [
        Survival(part.name, *names)
        for part in _parts_of(times.table, parts)
        if all(name in part for name in names)
    ]


def _clusters(clusters: Clusters, parts: Sequence[LabelledTable]) -> list[Clusters]:
    """The clusters in every part of their table that names them."""
    column = _exported(clusters.column, parts)
    found = (part.name for part in _parts_of(clusters.table, parts) if column in part)
    return [dataclasses.replace(clusters, table=name, column=column) for name in found]


def _parts_of(table: str, parts: Sequence[LabelledTable]) -> list[LabelledTable]:
    name = export_name(table)
    return [part for part in parts if name in (part.name, part.split_from)]


def _exported(original: str, parts: Sequence[LabelledTable]) -> str:
    found = (v.name for part in parts for v in part.variables if v.original == original)
    return next(found, "")


def _write_csv(name: str, frame: pd.DataFrame, folder: Path) -> Path:
    """A table about the export itself, guarded and read back like all others."""
    path = folder / f"{name}.csv"
    notes = {str(c): ColumnNote(str(c)) for c in frame.columns}
    made, _ = labelled(ExportTable(name, frame, notes=notes))
    write_table(made, CsvExporter(), path)
    return path
