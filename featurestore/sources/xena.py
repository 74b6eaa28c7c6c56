"""UCSC Xena: the clinical matrix of a TCGA hub, the GDC hub's phenotype table, and expression."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from featurestore.errors import DataError
from featurestore.sources.base import SourceTables
from featurestore.sources.clinical_table import Layout, read_clinical
from featurestore.sources.genomic import StudySource
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.survival import ENDPOINTS_OF_CDR
from featurestore.sources.tcga_names import BCR_HEADERS
from featurestore.tables import read_head, read_table

# The GDC hub writes the names of the GDC backwards: `age_at_index.demographic`.
_GDC_HUB = {
    "age": ("age_at_index.demographic",),
    "sex": ("gender.demographic", "sex_at_birth.demographic"),
    "race": ("race.demographic",),
    "stage": ("ajcc_pathologic_stage.diagnoses", "tumor_stage.diagnoses"),
    "t_stage": ("ajcc_pathologic_t.diagnoses",),
    "n_stage": ("ajcc_pathologic_n.diagnoses",),
    "m_stage": ("ajcc_pathologic_m.diagnoses",),
    "specimen_type": ("sample_type.samples", "tissue_type.samples"),
    "vital_status": ("vital_status.demographic",),
    "days_to_death": ("days_to_death.demographic",),
    "days_to_last_followup": ("days_to_last_follow_up.diagnoses",),
    "diagnosis_year": ("year_of_diagnosis.diagnoses",),
}

LAYOUT = Layout(
    kind="xena",
    ids=("sampleID", "sample", "submitter_id.samples", "submitter_id"),
    used=("_PATIENT", "bcr_patient_barcode", "bcr_sample_barcode", "id", "case_id"),
    headers={
        name: (*BCR_HEADERS.get(name, ()), *_GDC_HUB.get(name, ()))
        for name in dict.fromkeys((*BCR_HEADERS, *_GDC_HUB))
    }
    | {"specimen_type": ("sample_type", *_GDC_HUB["specimen_type"])},
)

SURVIVAL = Layout(
    kind="xena.survival",
    ids=("sample", "_PATIENT"),
    used=("Redaction",),
    headers=ENDPOINTS_OF_CDR,
)


class XenaSource(StudySource):
    """UCSC Xena: a clinical matrix and, where it is wanted, expression.

    Attributes:
        clinical: `SKCM_clinicalMatrix`, or the phenotype table of the GDC hub.
        survival: `SKCM_survival.txt`, or the survival table of the GDC hub; its times count before
            those of the clinical matrix.
        expression: Matrix of genes by specimens, in log2(x+1).
        expression_genes: Genes whose expression becomes columns `expr_GENE`; all by default.
        prefer: Specimen to take where a patient has a `primary` and a `metastatic` one.
        columns: Canonical clinical columns to take; all that are there by default.
    """

    kind: Literal["xena"] = "xena"
    clinical: Path
    survival: Path | None = None
    expression: Path | None = None

    def clinical_tables(self, data_root: Path) -> list[SourceTables]:
        """Reads the clinical matrix and the survival table."""
        files = [(data_root / self.clinical, LAYOUT)]
        if self.survival is not None:
            files.append((data_root / self.survival, SURVIVAL))
        return [self._table(path, layout) for path, layout in files]

    def _table(self, path: Path, layout: Layout) -> SourceTables:
        table = read_table(path, len(read_head(path).comments))
        read = read_clinical(table, layout, path, self.prefer)
        if layout is SURVIVAL and "os_days" not in read.dictionary:
            raise DataError(explain_mismatch(path, "xena.survival"))
        return read

    def expression_file(self) -> Path | None:
        """The matrix, or None."""
        return self.expression
