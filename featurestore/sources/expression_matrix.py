"""Gene expression of TCGA specimens: genes by specimens, to `expr_GENE` columns in log2(x+1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources.gene_matrix import one_row_a_gene, read_numbers
from featurestore.sources.recognition import explain_mismatch
from featurestore.tables.barcodes import parse_barcode
from featurestore.tables.dictionary import DataDictionary
from featurestore.tables.exclusions import exclusions_table
from featurestore.tables.reading import read_head, read_table
from featurestore.tables.vocabulary import find_term

GENE_COLUMNS = ("Hugo_Symbol", "sample", "gene_name", "gene_id", "Ensembl_ID", "xena_sample")
OTHER_COLUMNS = ("Entrez_Gene_Id", "gene_type", "gene_id", "Cytoband")
LARGEST_LOGARITHM = 30.0
"""log2 of the reads of a whole sequencing run; values above are counts, not logarithms."""
_STAGE = "read"


@dataclasses.dataclass(frozen=True)
class PatientColumns:
    """Columns of patients, from a file of specimens or aliquots.

    Attributes:
        values: One row a patient; index is the patient id.
        dictionary: What the columns are.
        exclusions: What was left out.
    """

    values: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame


def read_expression(
    path: Path,
    samples: Mapping[str, str],
    genes: Sequence[str] | None,
    kind: str,
) -> PatientColumns:
    """Reads the expression of the specimens that the clinical table stands for.

    Whether the file holds logarithms is told by its greatest value: no log2 of a read count exceeds
    `LARGEST_LOGARITHM`. Values below zero mean z-scores, which depend on who else was in the
    table, so they are refused.

    Args:
        path: Matrix; one column a specimen (any form of barcode), one row a gene.
        samples: Specimen (or, where there is none, patient) id of each patient.
        genes: Genes to take; None for all.
        kind: Kind of the source, for messages.

    Raises:
        DataError: The file is no such matrix, no specimen matches, or a gene is not there.
    """
    table = read_table(path, len(read_head(path).comments))
    spelled = {str(name).casefold(): str(name) for name in table.columns}
    named = next((spelled[n.casefold()] for n in GENE_COLUMNS if n.casefold() in spelled), None)
    if named is None:
        raise DataError(explain_mismatch(path, f"{kind}.expression"))
    other = [spelled[n.casefold()] for n in OTHER_COLUMNS if n.casefold() in spelled]
    values = table.drop(columns=list({named, *other}))
    columns, unmatched = _columns_of(samples, list(values.columns), path)
    kept, excluded = one_row_a_gene(table[named], values, path)
    if genes is not None:
        absent = sorted(set(genes) - set(kept))
        if absent:
            raise DataError(f"{path}: there are no genes {name_some(absent)}")
        kept = kept[kept.isin(list(genes))]
    kept = kept.sort_values()
    matrix, rejected = read_numbers(values.loc[kept.index, list(columns.values())], path)
    excluded += [
        ("value", sample, _STAGE, f"{kept[k]}: {text!r} is not a number")
        for k, sample, text in rejected
    ]
    matrix, unit = _as_logarithms(matrix, path)
    names = [f"expr_{gene}" for gene in kept]
    dictionary = DataDictionary(
        dataclasses.replace(find_term(name).column, source_column=f"{gene} ({unit})")
        for name, gene in zip(names, kept, strict=True)
    )
    frame = pd.DataFrame(matrix.T, index=list(columns), columns=names)
    exclusions = exclusions_table(excluded)
    return PatientColumns(frame, dictionary, pd.concat([exclusions, unmatched]))


def _columns_of(
    samples: Mapping[str, str], header: list[str], path: Path
) -> tuple[dict[str, str], pd.DataFrame]:
    """Column of each patient's specimen; patients without one are reported."""
    by_sample: dict[str, str] = {}
    for name in sorted(header):
        code = parse_barcode(name)
        key = name if code is None else code.sample or code.patient
        by_sample.setdefault(key, name)  # of several vials or aliquots the first by id
    found = {p: by_sample[s] for p, s in samples.items() if s in by_sample}
    if not found:
        wanted = name_some(sorted(samples.values()), 3)
        raise DataError(
            f"{path}: none of its {len(header)} columns is a specimen of the clinical table "
            f"(they are {name_some(sorted(header), 3)}; looked for {wanted})"
        )
    rows = [
        ("value", sample, _STAGE, f"specimen is not in {path.name}")
        for patient, sample in sorted(samples.items())
        if patient not in found
    ]
    taken = set(found.values())
    rows += [
        ("specimen", name, _STAGE, f"{path.name}: not the specimen that its patient counts with")
        for name in sorted(header)
        if name not in taken
    ]
    return found, exclusions_table(rows)


def _as_logarithms(matrix: np.ndarray, path: Path) -> tuple[np.ndarray, str]:
    if np.nanmin(matrix, initial=0.0) < 0:
        raise DataError(
            f"{path}: there are negative values: z-scores depend on who else is in the table; "
            f"take the table of counts, RSEM or log2(x+1)"
        )
    if np.nanmax(matrix, initial=0.0) <= LARGEST_LOGARITHM:
        return matrix, "log2(x+1) in the file"
    return np.log2(matrix + 1), "counts in the file"
