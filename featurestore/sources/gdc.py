"""GDC portal: `clinical.tsv`, the pathology details, and a matrix of STAR counts.

The portal writes one row for every case, diagnosis and treatment; which diagnosis counts is decided
by `gdc_diagnoses`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pandas as pd

from featurestore.errors import DataError
from featurestore.sources import gdc_diagnoses
from featurestore.sources.base import SourceTables
from featurestore.sources.clinical_table import Layout, read_clinical
from featurestore.sources.genomic import StudySource
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.specimens import Preferred
from featurestore.tables import known_text, parse_numbers, read_head, read_table

DAYS_PER_YEAR = 365.25
_IDS = ("cases.submitter_id", "case_submitter_id")
_AGE_IN_DAYS = ("diagnoses.age_at_diagnosis", "age_at_diagnosis")
_AGE = "age_at_diagnosis in years"
_OLDEST = 130  # years; a greater number of a column of ages is one of days


def _both(section: str, *names: str) -> tuple[str, ...]:
    """Names with and without their section, as newer and older exports have them."""
    return tuple(spelled for name in names for spelled in (f"{section}.{name}", name))


CLINICAL = Layout(
    kind="gdc",
    ids=_IDS,
    used=("cases.case_id", "case_id", "project.project_id", "project_id", *gdc_diagnoses.USED),
    headers={
        "age": (_AGE, *_both("demographic", "age_at_index")),
        "sex": _both("demographic", "sex_at_birth", "gender"),
        "race": _both("demographic", "race"),
        "stage": _both("diagnoses", "ajcc_pathologic_stage"),
        "t_stage": _both("diagnoses", "ajcc_pathologic_t"),
        "n_stage": _both("diagnoses", "ajcc_pathologic_n"),
        "m_stage": _both("diagnoses", "ajcc_pathologic_m"),
        "diagnosis_year": _both("diagnoses", "year_of_diagnosis"),
        "vital_status": _both("demographic", "vital_status"),
        "days_to_death": _both("demographic", "days_to_death"),
        "days_to_last_followup": _both("diagnoses", "days_to_last_follow_up"),
    },
)

PATHOLOGY = Layout(
    kind="gdc",
    ids=_IDS,
    used=("cases.case_id", "case_id", "project.project_id", "project_id"),
    headers={
        "breslow": _both("pathology_details", "breslow_thickness"),
        "mitotic_rate": _both("pathology_details", "mitotic_count"),
        "ulceration": _both("pathology_details", "ulceration", "tumor_ulceration"),
    },
)


class GdcSource(StudySource):
    """GDC portal exports.

    Attributes:
        clinical: `clinical.tsv`.
        pathology: `pathology_detail.tsv`, for Breslow thickness.
        star_counts: A matrix of STAR counts or TPM, genes by specimens.
        expression_genes: Genes whose expression becomes columns `expr_GENE`; all by default.
        prefer: Specimen to take from the matrix where a patient has two.
        columns: Canonical clinical columns to take; all that are there by default.
    """

    kind: Literal["gdc"] = "gdc"
    clinical: Path
    pathology: Path | None = None
    star_counts: Path | None = None

    def clinical_tables(self, data_root: Path) -> list[SourceTables]:
        """Reads the clinical table and the pathology details."""
        tables = [_clinical(data_root / self.clinical, self.prefer)]
        if self.pathology is not None:
            tables.append(_pathology(data_root / self.pathology, self.prefer))
        return tables

    def expression_file(self) -> Path | None:
        """The matrix of counts, or None."""
        return self.star_counts


def _clinical(path: Path, prefer: Preferred) -> SourceTables:
    table = _read(path)
    case = next(name for name in _IDS if name in table.columns)
    values = [h for headers in CLINICAL.headers.values() for h in headers]
    plain = [h for h in values if f"diagnoses.{h}" in values]
    of_diagnoses = (*plain, "age_at_diagnosis")
    rows, untold = gdc_diagnoses.one_diagnosis(table, case, of_diagnoses)
    tables = read_clinical(_with_years(rows), CLINICAL, path, prefer)
    exclusions = pd.concat([tables.exclusions, untold], ignore_index=True)
    return dataclasses.replace(tables, exclusions=exclusions)


def _read(path: Path) -> pd.DataFrame:
    table = read_table(path, len(read_head(path).comments))
    if not any(name in table.columns for name in _IDS):
        raise DataError(explain_mismatch(path, "gdc"))
    return table


def _with_years(table: pd.DataFrame) -> pd.DataFrame:
    """Adds the age in years to a table that has it in days."""
    for name in _AGE_IN_DAYS:
        if name in table.columns:
            age = parse_numbers(known_text(table[name], guessed=True).values, name).values
            if age.max() <= _OLDEST:  # somebody has turned it into years already
                return table.rename(columns={name: _AGE})
            years = (age / DAYS_PER_YEAR).round(4).astype("str").where(age.notna(), "")
            return table.drop(columns=name).assign(**{_AGE: years})
    return table


def _pathology(path: Path, prefer: Preferred) -> SourceTables:
    tables = read_clinical(_read(path), PATHOLOGY, path, prefer)
    if not tables.dictionary.names:
        raise DataError(explain_mismatch(path, "gdc.pathology"))
    return tables
