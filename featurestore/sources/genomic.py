"""Adds expression and mutations to the patients of a clinical table, specimen by specimen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from featurestore.sources.base import SourceTables
from featurestore.sources.expression_matrix import PatientColumns, read_expression
from featurestore.sources.mutations import read_mutations
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table

_STAGE = "read"


def with_genomics(
    clinical: SourceTables,
    kind: str,
    expression: Path | None = None,
    mutations: Path | None = None,
    expression_genes: Sequence[str] | None = None,
    genes: Sequence[str] = (),
) -> SourceTables:
    """Joins the files to the clinical patients by the specimen that each counts with.

    A column that both give (the mutation count) keeps the clinical value where it is known;
    differences are reported.

    Args:
        clinical: Patients, with `sample_id` where the table is of specimens.
        kind: Kind of the source, for messages.
        expression: Expression matrix.
        mutations: MAF.
        expression_genes: Genes to take from the matrix; None for all.
        genes: Genes to take from the MAF.

    Raises:
        DataError: A file is of another format or matches no specimen.
    """
    people = clinical.patients
    ids = people["patient_id"]
    samples = people["sample_id"] if "sample_id" in people.columns else ids
    by_patient = dict(zip(ids, samples.where(samples.notna(), ids), strict=True))
    result = clinical
    if mutations is not None:
        result = _joined(result, read_mutations(mutations, by_patient, genes, kind), mutations)
    if expression is not None:
        read = read_expression(expression, by_patient, expression_genes, kind)
        result = _joined(result, read, expression)
    return result


def _joined(tables: SourceTables, more: PatientColumns, path: Path) -> SourceTables:
    patients = tables.patients
    added = more.values.reindex(patients["patient_id"]).reset_index(drop=True)
    added.index = patients.index
    shared = [c.name for c in more.dictionary if c.name in tables.dictionary]
    rows = []
    for name in shared:
        own, other = patients[name], added[name]
        differing = own.notna() & other.notna() & (own != other)
        rows += [
            (
                "value",
                str(patients.loc[k, "patient_id"]),
                _STAGE,
                f"{name}: {own[k]:g} kept, {path.name} says {other[k]:g}",
            )
            for k in own.index[differing]
        ]
        patients = patients.assign(**{name: own.where(own.notna(), other)})
    entries: list[Column] = [c for c in more.dictionary if c.name not in shared]
    return dataclasses.replace(
        tables,
        patients=pd.concat([patients, added[[c.name for c in entries]]], axis=1),
        dictionary=tables.dictionary.merged(DataDictionary(entries)),
        exclusions=pd.concat(
            [tables.exclusions, more.exclusions, exclusions_table(rows)], ignore_index=True
        ),
    )
