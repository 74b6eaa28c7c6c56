"""Gene expression of TCGA specimens: genes by specimens, to `expr_GENE` columns in log2(x+1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources.gene_matrix import (
    GeneMatrix,
    as_logarithms,
    measure,
    one_row_a_gene,
    read_numbers,
    scale_note,
)
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.specimens import specimen_of
from featurestore.tables import DataDictionary, exclusions_table, read_head, read_table
from featurestore.tables.vocabulary import find_term

GENE_COLUMNS = ("Hugo_Symbol", "sample", "gene_name", "gene_id", "Ensembl_ID", "xena_sample")
OTHER_COLUMNS = ("Entrez_Gene_Id", "gene_type", "gene_id", "Cytoband")
_STAGE = "read"


@dataclasses.dataclass(frozen=True)
class PatientColumns:
    """Columns of patients, from a file of specimens or aliquots.

    Attributes:
        values: One row a patient; index is the patient id.
        dictionary: What the columns are.
        exclusions: What was left out.
        notes: Sentences that every report prints.
    """

    values: pd.DataFrame
    dictionary: DataDictionary
    exclusions: pd.DataFrame
    notes: tuple[str, ...] = ()


def specimens_of(matrix: GeneMatrix) -> set[str]:
    """Specimens (of a matrix of patients: patients) that its columns are of."""
    return {specimen_of(str(name)) for name in matrix.values.columns}


def open_matrix(path: Path, kind: str) -> GeneMatrix:
    """Reads the text of a matrix.

    Args:
        path: Matrix; one column a specimen (any form of barcode), one row a gene.
        kind: Kind of the source, for messages.

    Raises:
        DataError: The file is no such matrix.
    """
    table = read_table(path, len(read_head(path).comments))
    spelled = {str(name).casefold(): str(name) for name in table.columns}
    named = next((spelled[n.casefold()] for n in GENE_COLUMNS if n.casefold() in spelled), None)
    if named is None:
        raise DataError(explain_mismatch(path, f"{kind}.expression"))
    other = [spelled[n.casefold()] for n in OTHER_COLUMNS if n.casefold() in spelled]
    return GeneMatrix(path, table[named], table.drop(columns=list({named, *other})))


def read_expression(
    matrix: GeneMatrix, samples: Mapping[str, str], genes: Sequence[str] | None
) -> PatientColumns:
    """Reads the expression of the specimens that patients count with.

    Whether the file holds logarithms is decided by all of its values (`gene_matrix`), whichever
    genes and patients are taken. Many values below zero mean z-scores, which depend on who else was
    in the table, so they are refused.

    Args:
        matrix: What `open_matrix` read.
        samples: Specimen (or, where there is none, patient) id of each patient.
        genes: Genes to take; None for all.

    Raises:
        DataError: No specimen matches, or a gene is not there.
    """
    path = matrix.path
    columns, unmatched = _columns_of(samples, list(matrix.values.columns), path)
    numbers, rejected = read_numbers(matrix.values, str(path))
    facts = measure(numbers)
    kept, excluded = one_row_a_gene(matrix.genes, numbers, path.name)
    if genes is not None:
        absent = sorted(set(genes) - set(kept))
        if absent:
            raise DataError(f"{path}: there are no genes {name_some(absent)}")
        kept = kept[kept.isin(list(genes))]
    kept = kept.sort_values()
    taken = set(columns.values())
    excluded += [
        ("value", sample, _STAGE, f"{kept[k]}: {text!r} is not a number")
        for k, sample, text in rejected
        if k in kept.index and sample in taken
    ]
    own = as_logarithms(numbers.loc[kept.index, list(columns.values())], facts, str(path))
    unit = "counts in the file" if facts.are_counts else "log2(x+1) in the file"
    names = [f"expr_{gene}" for gene in kept]
    dictionary = DataDictionary(
        dataclasses.replace(find_term(name).column, source_column=f"{gene} ({unit})")
        for name, gene in zip(names, kept, strict=True)
    )
    frame = pd.DataFrame(own.to_numpy().T, index=list(columns), columns=names)
    exclusions = pd.concat([exclusions_table(excluded), unmatched])
    return PatientColumns(frame, dictionary, exclusions, (scale_note(facts, path.name),))


def _columns_of(
    samples: Mapping[str, str], header: list[str], path: Path
) -> tuple[dict[str, str], pd.DataFrame]:
    """Column of each patient's specimen; patients without one are reported."""
    by_sample: dict[str, str] = {}
    for name in sorted(header):
        by_sample.setdefault(specimen_of(name), name)  # of several vials the first by id
    found = {}
    for patient, sample in samples.items():
        key = sample if sample in by_sample else patient  # a matrix may be of patients
        if key in by_sample:
            found[patient] = by_sample[key]
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
