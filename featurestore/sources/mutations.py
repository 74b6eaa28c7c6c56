"""Mutations of TCGA specimens: a MAF, to `mut_GENE` columns and a mutation count."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources.expression_matrix import PatientColumns
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.specimens import specimen_of
from featurestore.tables import DataDictionary, exclusions_table, read_head, read_table
from featurestore.tables.vocabulary import find_term

GENES_OF_MELANOMA = (
    *("BRAF", "NRAS", "NF1", "KIT", "CDKN2A", "TP53", "PTEN"),
    *("RAC1", "MAP2K1", "ARID2", "PPP6C", "IDH1", "DDX3X"),
)
"""Significantly mutated genes of cutaneous melanoma (Cancer Genome Atlas Network 2015, Cell 161)
and KIT."""

SILENT = frozenset(
    {
        *("silent", "intron", "3'utr", "5'utr", "3'flank", "5'flank", "igr", "rna"),
        *("lincrna", "targeted_region"),
    }
)
"""Variant classes that change no protein; all others count."""

_GENE, _SAMPLE, _CLASS = "Hugo_Symbol", "Tumor_Sample_Barcode", "Variant_Classification"
_STAGE = "read"


@dataclasses.dataclass(frozen=True)
class MutationTable:
    """The rows of a MAF.

    Attributes:
        path: The file.
        rows: One row a mutation: gene, class, and `sample` (`specimen_of` its barcode).
    """

    path: Path
    rows: pd.DataFrame

    @property
    def specimens(self) -> set[str]:
        """Specimens that have a row."""
        return set(self.rows["sample"])


def open_mutations(path: Path, kind: str) -> MutationTable:
    """Reads the rows of a MAF.

    Args:
        path: MAF; comment lines before the header are skipped.
        kind: Kind of the source, for messages.

    Raises:
        DataError: The file is no MAF.
    """
    table = read_table(path, len(read_head(path).comments))
    spelled = {str(name).casefold(): str(name) for name in table.columns}
    absent = [n for n in (_GENE, _SAMPLE, _CLASS) if n.casefold() not in spelled]
    if absent:
        raise DataError(explain_mismatch(path, f"{kind}.mutations"))
    rows = pd.DataFrame({n: table[spelled[n.casefold()]] for n in (_GENE, _SAMPLE, _CLASS)})
    return MutationTable(path, rows.assign(sample=rows[_SAMPLE].map(lambda t: specimen_of(str(t)))))


def read_mutations(
    maf: MutationTable, samples: Mapping[str, str], genes: Sequence[str]
) -> PatientColumns:
    """Reads which genes are mutated in the specimens that patients count with.

    A specimen that the file names was sequenced, so its other genes are not mutated (0), if the
    file names them at all: a gene without a row in any specimen may be outside the panel, so
    nothing is known of it and it becomes no column. Of a specimen that the file does not name
    nothing is known (missing): a MAF does not list those without any mutation, and that none of
    some hundred sequenced melanomas has one is not to be assumed.

    Args:
        maf: What `open_mutations` read.
        samples: Specimen (or, where there is none, patient) id of each patient.
        genes: Genes that become columns.

    Raises:
        DataError: The file names none of the specimens.
    """
    path, rows = maf.path, maf.rows.copy()
    patient_of = {patient: patient for patient in samples}
    patient_of |= {sample: patient for patient, sample in samples.items()}
    counted = ~rows[_CLASS].str.casefold().isin(SILENT)
    rows["patient_id"] = rows["sample"].map(patient_of)
    sequenced = sorted(rows["patient_id"].dropna().unique())
    if not sequenced:
        raise DataError(
            f"{path}: none of its specimens is in the clinical table (it has "
            f"{name_some(sorted(rows['sample'].unique()), 3)}; looked for "
            f"{name_some(sorted(samples.values()), 3)})"
        )
    own = rows[counted & rows["patient_id"].notna()]
    counts = own.groupby("patient_id").size().reindex(sequenced, fill_value=0)
    frame = pd.DataFrame({"mutation_count": counts.astype(float)}, index=sequenced)
    named = rows[_GENE].str.casefold()
    unnamed = [gene for gene in genes if not (named == gene.casefold()).any()]
    for gene in genes:
        if gene in unnamed:
            continue
        mutated = set(own.loc[own[_GENE].str.casefold() == gene.casefold(), "patient_id"])
        frame[f"mut_{gene}"] = np.array([float(p in mutated) for p in sequenced])
    dictionary = DataDictionary(
        dataclasses.replace(find_term(str(name)).column, source_column=path.name)
        for name in frame.columns
    )
    missing = sorted(set(samples) - set(sequenced))
    excluded = [
        ("value", samples[p], _STAGE, f"specimen is not in {path.name}; mutations are unknown")
        for p in missing
    ]
    excluded += [
        (
            "value",
            gene,
            _STAGE,
            f"no row of {path.name} names this gene: whether it was sequenced is unknown",
        )
        for gene in unnamed
    ]
    others = sorted(set(rows.loc[rows["patient_id"].isna(), "sample"]))
    excluded += [
        ("specimen", s, _STAGE, f"{path.name}: not the specimen that its patient counts with")
        for s in others
    ]
    return PatientColumns(frame, dictionary, exclusions_table(excluded))
