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
from featurestore.export.scripts import Check, Plan, import_scripts
from featurestore.export.splitting import split
from featurestore.export.variables import Change, LabelledTable, changes_table
from featurestore.export.write import write_files, write_table


@dataclasses.dataclass(frozen=True)
class Area:
    """An area under the ROC curve that the run reports, in the study's names.

    Attributes:
        table: Name of the table.
        outcome: Column with 0 and 1.
        score: Column that ranks the rows.
        auroc: Its area.
        what: Words for it.
    """

    table: str
    outcome: str
    score: str
    auroc: float
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
        areas: What every program must find again.
        version: Version of melafuse.
    """

    title: str
    description: str
    watermark: str
    notes: tuple[str, ...]
    images: pd.DataFrame
    areas: tuple[Area, ...]
    version: str


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
    checks = tuple(check for area in about.areas for check in _checks(area, parts))
    plan = Plan(about.title, about.watermark, tuple(parts), suffixes, checks)
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


def _checks(area: Area, parts: Sequence[LabelledTable]) -> list[Check]:
    """The area as a check on the part of its table that holds the score."""
    names = (export_name(area.table), *(_exported(area, c, parts) for c in ("outcome", "score")))
    table, outcome, score = names
    return [
        Check(part.name, outcome, score, area.auroc, area.what)
        for part in parts
        if table in (part.name, part.split_from) and outcome in part and score in part
    ]


def _exported(area: Area, what: str, parts: Sequence[LabelledTable]) -> str:
    original = getattr(area, what)
    found = (v.name for part in parts for v in part.variables if v.original == original)
    return next(found, "")


def _write_csv(name: str, frame: pd.DataFrame, folder: Path) -> Path:
    """A table about the export itself, guarded and read back like all others."""
    path = folder / f"{name}.csv"
    notes = {str(c): ColumnNote(str(c)) for c in frame.columns}
    made, _ = labelled(ExportTable(name, frame, notes=notes))
    write_table(made, CsvExporter(), path)
    return path
