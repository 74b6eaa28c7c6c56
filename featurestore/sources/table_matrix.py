"""A matrix of genes by samples of any origin, to one row a patient."""

from __future__ import annotations

import dataclasses

import pandas as pd

from featurestore.sources.base import NO_IMAGES, SourceTables
from featurestore.sources.gene_matrix import (
    GeneMatrix,
    as_logarithms,
    measure,
    one_row_a_gene,
    read_numbers,
)
from featurestore.tables import Column, DataDictionary, exclusions_table, spelled_ids
from featurestore.tables.barcodes import SPECIMEN_TYPES, TUMOUR_TYPES, parse_barcode

_STAGE = "read"


def read_samples(
    matrix: GeneMatrix, length: int | None, prefix: str, unit: str, are_counts: bool
) -> SourceTables:
    """Reads a matrix.

    Args:
        matrix: Text, one column a sample.
        length: Keep this many leading characters of a sample's name as id of the patient.
        prefix: Put before every gene name.
        unit: Unit of the values that are kept.
        are_counts: Whether log2(x + 1) of the numbers is kept.

    Raises:
        DataError: A sample holds more than a few texts that are no numbers, or counts are negative.
    """
    path = matrix.path
    numbers, rejected = read_numbers(matrix.values, str(path))
    genes, excluded = one_row_a_gene(matrix.genes, numbers, path.name)
    samples, left_out = _samples(list(numbers.columns), length)
    excluded += left_out
    order = genes.sort_values().index
    excluded += [
        ("value", samples[s], _STAGE, f"{genes[k]}: {t!r} is not a number")
        for k, s, t in rejected
        if k in order and s in samples
    ]
    values = numbers.loc[order, list(samples)]
    if are_counts:
        facts = dataclasses.replace(measure(numbers), is_linear=True)
        values = as_logarithms(values, facts, f"{path}: log2p1 needs counts")
    names = [f"{prefix}{gene}" for gene in genes[order]]
    patients = pd.DataFrame(values.to_numpy().T, columns=names)
    patients.insert(0, "patient_id", pd.Series(list(samples.values()), dtype="str"))
    dictionary = DataDictionary(
        Column(name, "expression", "expression", label=gene, unit=unit, source_column=gene)
        for name, gene in zip(names, genes[order], strict=True)
    )
    return SourceTables(NO_IMAGES, patients, dictionary, exclusions_table(excluded))


def _samples(
    header: list[str], length: int | None
) -> tuple[dict[str, str], list[tuple[str, str, str, str]]]:
    """Patient of each column that is taken, the first by id, and why the others are not.

    Normal tissue of TCGA is no sample of a tumour, whether or not its patient has another.
    """
    kept: dict[str, str] = {}
    excluded = []
    spelled = dict(zip(header, spelled_ids(pd.Series(header, dtype="str")), strict=True))
    for sample in sorted(header):
        code = parse_barcode(sample)
        patient = spelled[sample][:length]
        if code is not None and code.sample_type not in (None, *TUMOUR_TYPES):
            reason = f"sample {sample}: {SPECIMEN_TYPES.get(code.sample_type or 0, 'no tumour')}"
        elif patient in kept.values():
            reason = f"sample {sample}: another sample comes first by id"
        else:
            kept[sample] = patient
            continue
        excluded.append(("value", patient, _STAGE, reason))
    return kept, excluded
