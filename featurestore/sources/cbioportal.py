"""cBioPortal: study files (`data_clinical_*.txt`) and what "download clinical data" gives."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
import pydantic

from featurestore.sources.base import SourceTables
from featurestore.sources.clinical_table import Layout, read_clinical
from featurestore.sources.genomic import StudySource
from featurestore.sources.mutations import GENES_OF_MELANOMA
from featurestore.sources.survival import MONTH
from featurestore.tables import known_text, parse_numbers, read_head, read_table

# Names in study files, then those that the portal shows.
LAYOUT = Layout(
    kind="cbioportal",
    ids=("SAMPLE_ID", "Sample ID", "PATIENT_ID", "Patient ID"),
    used=("STUDY_ID", "Study ID", "OTHER_PATIENT_ID", "Other Patient ID", "Other Sample ID"),
    headers={
        "age": ("AGE", "AGE_AT_DIAGNOSIS", "Diagnosis Age"),
        "sex": ("SEX", "Sex", "GENDER"),
        "race": ("RACE", "Race Category"),
        "stage": (
            "AJCC_PATHOLOGIC_TUMOR_STAGE",
            "Neoplasm Disease Stage American Joint Committee on Cancer Code",
        ),
        "t_stage": (
            "PATH_T_STAGE",
            "AJCC_TUMOR_PATHOLOGIC_PT",
            "American Joint Committee on Cancer Tumor Stage Code",
        ),
        "n_stage": (
            "PATH_N_STAGE",
            "AJCC_NODES_PATHOLOGIC_PN",
            "Neoplasm Disease Lymph Node Stage American Joint Committee on Cancer Code",
        ),
        "m_stage": (
            "PATH_M_STAGE",
            "AJCC_METASTASIS_PATHOLOGIC_PM",
            "American Joint Committee on Cancer Metastasis Stage Code",
        ),
        "breslow": ("BRESLOW_DEPTH", "BRESLOW_THICKNESS_AT_DIAGNOSIS", "breslow depth"),
        "clark_level": ("CLARK_LEVEL_AT_DIAGNOSIS", "Clark level at diagnosis"),
        "ulceration": (
            "PRIMARY_MELANOMA_TUMOR_ULCERATION",
            "Primary melanoma tumor ulceration",
        ),
        "mitotic_rate": ("PRIMARY_MELANOMA_MITOTIC_RATE", "Primary melanoma mitotic rate"),
        "tumour_site": ("TUMOR_SITE", "Tumor Site"),
        "primary_known": ("PRIMARY_MELANOMA_KNOWN_DX", "Primary melanoma known dx"),
        "diagnosis_year": ("INITIAL_PATHOLOGIC_DX_YEAR", "Year Cancer Initial Diagnosis"),
        "specimen_type": ("SAMPLE_TYPE", "Sample Type"),
        "days_to_specimen": ("SUBMITTED_TUMOR_DX_DAYS_TO", "Submitted tumor dx days to"),
        "mutation_count": ("MUTATION_COUNT", "Mutation Count"),
        "tmb": ("TMB_NONSYNONYMOUS", "TMB (nonsynonymous)"),
        "fraction_genome_altered": ("FRACTION_GENOME_ALTERED", "Fraction Genome Altered"),
        "vital_status": ("OS_STATUS", "Overall Survival Status"),
        "os_months": ("OS_MONTHS", "Overall Survival (Months)"),
        "dfs_months": ("DFS_MONTHS", "Disease Free (Months)"),
        "new_tumor_event": (
            "NEW_TUMOR_EVENT_AFTER_INITIAL_TREATMENT",
            "New Neoplasm Event Post Initial Therapy Indicator",
        ),
        "dss_event": ("DSS_STATUS", "Disease-specific Survival status"),
        "dss_days": ("DSS_MONTHS in days", "Months of disease-specific survival in days"),
        # What the PanCancer Atlas calls progression-free survival is the interval of TCGA-CDR.
        "pfi_event": ("PFS_STATUS", "Progression Free Status"),
        "pfi_days": ("PFS_MONTHS in days", "Progress Free Survival (Months) in days"),
        "tumour_status": ("PERSON_NEOPLASM_CANCER_STATUS", "Person Neoplasm Status"),
    },
)

_IN_MONTHS = (
    *("DSS_MONTHS", "Months of disease-specific survival"),
    *("PFS_MONTHS", "Progress Free Survival (Months)"),
)


class CbioportalSource(StudySource):
    """A cBioPortal study: clinical tables, and expression and mutations where they are wanted.

    Attributes:
        clinical: `data_clinical_patient.txt`, `data_clinical_sample.txt`, or the table that the
            portal's "download clinical data" gives. Several are joined by patient; where they
            differ the one listed first counts, and the difference is reported.
        expression: `data_mrna_seq_v2_rsem.txt` or a like matrix, genes by specimens.
        mutations: `data_mutations.txt` (MAF).
        genes: Genes whose mutations become columns `mut_GENE`.
        expression_genes: Genes whose expression becomes columns `expr_GENE`; all by default.
        prefer: Specimen to take where a patient has a `primary` and a `metastatic` one.
        columns: Canonical clinical columns to take; all that are there by default.
    """

    kind: Literal["cbioportal"] = "cbioportal"
    clinical: tuple[Path, ...] = pydantic.Field(min_length=1)
    expression: Path | None = None
    mutations: Path | None = None
    genes: tuple[str, ...] = GENES_OF_MELANOMA

    def clinical_tables(self, data_root: Path) -> list[SourceTables]:
        """Reads the clinical tables as they are listed."""
        tables = []
        for file in self.clinical:
            path = data_root / file
            table = _with_days(read_table(path, len(read_head(path).comments)), path)
            tables.append(read_clinical(table, LAYOUT, path, self.prefer))
        return tables

    def expression_file(self) -> Path | None:
        """The matrix, or None."""
        return self.expression

    def mutations_file(self) -> Path | None:
        """The MAF, or None."""
        return self.mutations

    def mutated_genes(self) -> tuple[str, ...]:
        """Genes whose mutations become columns."""
        return self.genes


def _with_days(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Turns columns of months into columns of whole days, as they once were."""
    spelled = {name.casefold(): name for name in map(str, table.columns)}
    for wanted in _IN_MONTHS:
        name = spelled.get(wanted.casefold())
        if name is not None:
            texts = known_text(table[name], guessed=True).values
            days = parse_numbers(texts, f"{path}: column {name!r}").values * MONTH
            whole = days.round().astype("str").where(days.notna(), "")
            table = table.rename(columns={name: f"{wanted} in days"})
            table[f"{wanted} in days"] = whole.astype("str")
    return table
