"""GDC portal: `clinical.tsv`, the pathology details, and a matrix of STAR counts.

The portal writes one row for every case, diagnosis and treatment. The diagnosis of the disease
that the case is in the project for counts (`diagnosis_is_primary_disease`); of the rest the first
row does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.clinical_table import Layout, joined, kept, read_clinical
from featurestore.sources.genomic import with_genomics
from featurestore.sources.recognition import explain_mismatch
from featurestore.sources.specimens import Preferred
from featurestore.tables.parsing import known_text
from featurestore.tables.reading import read_head, read_table

DAYS_PER_YEAR = 365.25
_IDS = ("cases.submitter_id", "case_submitter_id")
_PRIMARY_DISEASE = ("diagnoses.diagnosis_is_primary_disease", "diagnosis_is_primary_disease")
_AGE_IN_DAYS = ("diagnoses.age_at_diagnosis", "age_at_diagnosis")
_AGE = "age_at_diagnosis in years"


def _both(section: str, *names: str) -> tuple[str, ...]:
    """Names with and without their section, as newer and older exports have them."""
    return tuple(spelled for name in names for spelled in (f"{section}.{name}", name))


CLINICAL = Layout(
    kind="gdc",
    ids=_IDS,
    used=("cases.case_id", "case_id", "project.project_id", "project_id", *_PRIMARY_DISEASE),
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


class GdcSource(Section):
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
    expression_genes: tuple[str, ...] | None = None
    prefer: Preferred = "primary"
    columns: tuple[str, ...] | None = None

    def read(self, context: ReadContext) -> SourceTables:
        """Reads the files.

        Raises:
            DataError: A file is missing, damaged or of another format, or an id is no id.
        """
        path = context.data_root / self.clinical
        table = _one_diagnosis(_with_years(_read(path)))
        tables = [read_clinical(table, CLINICAL, path, self.prefer)]
        if self.pathology is not None:
            details = context.data_root / self.pathology
            tables.append(_pathology(details, self.prefer))
        counts = None if self.star_counts is None else context.data_root / self.star_counts
        return with_genomics(
            kept(joined(tables), self.columns), self.kind, counts, None, self.expression_genes
        )


def _read(path: Path) -> pd.DataFrame:
    table = read_table(path, len(read_head(path).comments))
    if not any(name in table.columns for name in _IDS):
        raise DataError(explain_mismatch(path, "gdc"))
    return table


def _with_years(table: pd.DataFrame) -> pd.DataFrame:
    """Adds the age in years to a table that has it in days."""
    for name in _AGE_IN_DAYS:
        if name in table.columns:
            days = pd.to_numeric(known_text(table[name]).values, errors="coerce")
            years = (days / DAYS_PER_YEAR).round(1).astype("str").where(days.notna(), "")
            return table.drop(columns=name).assign(**{_AGE: years})
    return table


def _one_diagnosis(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the disease that the case is in the project for, where the table says so."""
    name = next((n for n in _PRIMARY_DISEASE if n in table.columns), None)
    identity = next(n for n in _IDS if n in table.columns)
    if name is None:
        return table
    primary = table[name].str.casefold() == "true"
    # A case without a marked diagnosis keeps all its rows.
    marked = table[identity].isin(set(table.loc[primary, identity]))
    return table[primary | ~marked].reset_index(drop=True)


def _pathology(path: Path, prefer: Preferred) -> SourceTables:
    tables = read_clinical(_read(path), PATHOLOGY, path, prefer)
    if not tables.dictionary.names:
        raise DataError(explain_mismatch(path, "gdc.pathology"))
    return tables
