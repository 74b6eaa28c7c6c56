"""TCGA-CDR: the clinical data resource with curated times (Liu et al. 2018, Cell 173:400).

The sheet `TCGA-CDR` of supplemental table S1, saved as CSV or TSV; copies of it in other people's
tables spell the names in lower case with underscores.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.clinical_table import Layout, kept, read_clinical
from featurestore.sources.survival import ENDPOINTS_OF_CDR, with_survival
from featurestore.tables import read_head, read_table
from featurestore.units import counted

LAYOUT = Layout(
    kind="tcga_cdr",
    ids=("bcr_patient_barcode",),
    used=("type", "case"),
    headers={
        "age": ("age_at_initial_pathologic_diagnosis",),
        "sex": ("gender",),
        "race": ("race",),
        "stage": ("ajcc_pathologic_tumor_stage",),
        "diagnosis_year": ("initial_pathologic_dx_year",),
        "vital_status": ("vital_status",),
        "tumour_status": ("tumor_status",),
        "days_to_death": ("death_days_to",),
        "days_to_last_followup": ("last_contact_days_to",),
        "days_to_new_tumor_event": ("new_tumor_event_dx_days_to",),
        **ENDPOINTS_OF_CDR,
    },
    missing=("#N/A",),
)


class TcgaCdrSource(Section):
    """TCGA-CDR: curated overall, disease-specific and progression-free times.

    Attributes:
        path: The sheet `TCGA-CDR`, saved as CSV or TSV.
        cancer: Cancer type whose rows are read, where the table has several.
        columns: Canonical columns to take; all that are there by default.
    """

    kind: Literal["tcga_cdr"] = "tcga_cdr"
    path: Path
    cancer: str = "SKCM"
    columns: tuple[str, ...] | None = None

    def read(self, context: ReadContext) -> SourceTables:
        """Reads the table.

        Raises:
            DataError: The file is missing or of another format, or has no row of the cancer.
        """
        path = context.data_root / self.path
        table = read_table(path, len(read_head(path).comments))
        notes: tuple[str, ...] = ()
        if "type" in table.columns:
            own = table["type"].str.strip().str.casefold() == self.cancer.casefold()
            if not own.any():
                raise DataError(
                    f"{path}: no row of the cancer type {self.cancer!r} (column 'type')"
                )
            if not own.all():
                notes = (
                    f"{path.name}: {counted(int((~own).sum()), 'row')} of other cancers left out.",
                )
            table = table[own].reset_index(drop=True)
        read = with_survival(read_clinical(table, LAYOUT, path, "primary"))
        return dataclasses.replace(kept(read, self.columns), notes=notes)
