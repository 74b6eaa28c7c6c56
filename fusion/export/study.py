"""Exports a study: its tables, what protects patients, and what stands beside the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from featurestore.cohort import Cohort, watermark
from featurestore.export import find_exporter
from featurestore.export.deidentify import Key, deidentify
from featurestore.export.package import About, Exported, write_package
from fusion.config import ExportConfig
from fusion.export.lesions import of_patients
from fusion.export.tables import Material, export_tables, known_numbers, survival_columns
from fusion.provenance import versions


def export_study(
    material: Material, reference: str, config: ExportConfig, folder: Path, name: str
) -> Exported:
    """Writes the chosen tables in the chosen formats.

    Args:
        material: What the tables are made of.
        reference: Arm whose AUROC, or C, the import scripts find again.
        config: What is chosen.
        folder: Where to; de-identified tables belong into a folder of their own.
        name: Name of the run.

    Returns:
        What was written.

    Raises:
        ConfigError: De-identification has no key, or the limit of variables is too low.
        StoreError: A file could not be written, or reads back differently.
    """
    exporters = [find_exporter(form) for form in dict.fromkeys(config.formats)]
    tables = export_tables(material, config.tables)
    about = _about(material, reference, name)
    limit = config.max_variables
    if not config.deidentify:
        return write_package(tables, exporters, folder, about, limit)
    safe = deidentify(tables, Key.read(config.key), config.deidentify)
    about = dataclasses.replace(about, notes=tuple(map(safe.sentence, about.notes)))
    return write_package(safe.tables, exporters, folder, about, limit, safe.report)


def _about(material: Material, reference: str, name: str) -> About:
    cohort = material.cohort
    return About(
        title=name,
        description=_description(cohort),
        watermark=watermark(cohort.linkage, cohort.synthetic),
        notes=cohort.notes,
        images=cohort.images,
        known=known_numbers(material, reference),
        version=versions()["melafuse"],
        survival=survival_columns(material),
        clusters=of_patients(cohort),
    )


def _description(cohort: Cohort) -> str:
    outcome = cohort.outcome
    who = f"{cohort.n_patients} patients" if cohort.unit == "patient" else cohort.counted.text
    sentences = [
        watermark(cohort.linkage, cohort.synthetic),
        f"{who}, {cohort.n_events} events of {outcome.name}: {outcome.definition}",
        *outcome.caveats,
    ]
    return " ".join(sentence for sentence in sentences if sentence)
